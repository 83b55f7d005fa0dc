"""The gate of `wasi:filesystem`: where a path leads, whether a rule permits it, and what is opened then."""
