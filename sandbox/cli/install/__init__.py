"""`sandbox install` and `uninstall`: write this program into the configuration of an MCP client, and take it out again."""

from sandbox.cli.install.clients import NAMES

__all__ = ["NAMES"]
