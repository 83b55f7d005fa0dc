"""`sandbox policy`: each command in a file of its own; `words` is their shape, `reading` what several of them need."""
