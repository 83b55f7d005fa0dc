"""The HTTP API beside MCP: checks, budgets, grants, approvals, the record. Imported by the first request that is for it."""
