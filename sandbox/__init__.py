"""A WebAssembly capability sandbox host for MCP tools."""
