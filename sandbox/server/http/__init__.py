"""MCP over HTTP: who may connect, what a request must be, and the server that listens."""
