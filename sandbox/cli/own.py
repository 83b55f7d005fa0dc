"""The host's own tools for the clients of a command line, unless it leaves them out."""

from __future__ import annotations

import importlib
from argparse import Namespace
from typing import Any

from sandbox.api import Sandbox
from sandbox.cli.configured import configuration_of
from sandbox.policy.grants import Lifetime


def own_tools(arguments: Namespace, sandbox: Sandbox) -> Any:
    """The tools, or None with `--disable-builtin-tools`. Imports MCP: to be called where that is imported already."""
    if arguments.disable_builtin_tools:
        return None
    return importlib.import_module("sandbox.server.builtin").BuiltinTools(sandbox, most=most(arguments))


def most(arguments: Namespace) -> Lifetime:
    """How long at most a yes through a client is good."""
    return "lasting" if configuration_of(arguments).lasting_in_client else "session"
