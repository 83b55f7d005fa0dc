"""The shape of the operator's own commands: `secret` and `config`.

Decides words and options alone, as `sandbox.cli.arguments` does for the others.
"""

from __future__ import annotations

from sandbox.cli.parser import Commands, group, leaf


def operating(commands: Commands) -> None:
    """Add the commands."""
    _secret(commands)
    _config(commands)


def _config(commands: Commands) -> None:
    config = group(commands, "config", "read the operator's configuration")
    show = "show what holds here, and the line, variable or flag that each value comes from"
    leaf(config, "show", "config", show, "nothing more", (0, 0))
    leaf(config, "check", "config", "say all that is wrong with the configuration, or with one file", "`[FILE]`", (0, 1))
    leaf(config, "path", "config", "say where the operator's file lies", "nothing more", (0, 0))


def _secret(commands: Commands) -> None:
    secret = group(commands, "secret", "keep the values that policies name as `secret:`")
    setting = "set a secret from standard input, or from a prompt that shows nothing"
    # More words are let through, to be told why a value is not one of them.
    leaf(secret, "set", "secret", setting, "`NAME`", (1, None), completes="nothing")
    leaf(secret, "list", "secret", "list the names of the secrets, never their values", "nothing more", (0, 0))
    leaf(secret, "remove", "secret", "forget a secret", "`NAME`", (1, 1), completes="nothing")
