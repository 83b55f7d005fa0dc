"""The host's own tools: load and list components, see what holds, ask for a permission, take one back."""

from sandbox.server.builtin.tools import BuiltinTools

__all__ = ["BuiltinTools"]
