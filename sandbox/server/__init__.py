"""The edge towards MCP clients. The only place that knows MCP."""
