"""Who runs it: processes, gates and layers that enforce a template. Decides no policy."""
