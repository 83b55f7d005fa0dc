"""The edge towards a person at a terminal: the command `sandbox`."""
