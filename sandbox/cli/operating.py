"""The shape of the operator's own commands: `stop`, `resume`, `signal`, `secret` and `config`.

Decides words and options alone, as `sandbox.cli.arguments` does for the others.
"""

from __future__ import annotations

from sandbox.cli.parser import Commands, group, leaf


def operating(commands: Commands) -> None:
    """Add the commands."""
    _stopping(commands)
    _role(commands)
    _secret(commands)
    _config(commands)


def _role(commands: Commands) -> None:
    role = group(commands, "role", "give roles of the admission document to subjects while servers run")
    for name, what in (("assign", "give a role to a subject"), ("remove", "take a role from a subject that was given it so")):
        leaf(role, name, "role", what, "`SUBJECT` `ROLE`", (2, 2), completes="nothing")
    leaf(role, "list", "role", "list who was given which role while servers ran", "nothing more", (0, 0))


def _stopping(commands: Commands) -> None:
    stop = leaf(
        commands, "stop", "stopping", "end every running call and refuse all others until `resume`", "nothing more", (0, 0)
    )
    resume = leaf(commands, "resume", "stopping", "let what was stopped run again", "nothing more", (0, 0))
    for parser, all_ in ((stop, "every call of every server of this home"), (resume, "take back `stop --all`")):
        scope = parser.add_mutually_exclusive_group(required=True)
        scope.add_argument("--all", action="store_true", help=all_)
        scope.add_argument("--session", metavar="ID", help="the calls of one session, as `audit list --json` names it")
    stop.add_argument("--reason", default="", metavar="TEXT", help="why: told to who is refused, and kept in the record")
    signal = group(commands, "signal", "look at calls that run; kill, suspend and resume them")
    leaf(signal, "list", "signal", "list the calls that run, and which are suspended", "nothing more", (0, 0))
    for name, what in (("kill", "end a call's process"), ("stop", "suspend a call"), ("cont", "let a suspended call go on")):
        sending = leaf(signal, name, "signal", what, "`CALL`", (1, 1), completes="nothing")
        sending.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")


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
    leaf(secret, "set", "secret", setting, "`NAME`", (1, None), completes="secret")
    leaf(secret, "list", "secret", "list the names of the secrets, never their values", "nothing more", (0, 0), needs_home=True)
    leaf(secret, "remove", "secret", "forget a secret", "`NAME`", (1, 1), completes="secret", needs_home=True)
