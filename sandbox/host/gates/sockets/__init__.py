"""The gate of `wasi:sockets`: tcp and name lookup through the gateway's tunnel; all else is refused."""
