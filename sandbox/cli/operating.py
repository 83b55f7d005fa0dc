"""The shape of the operator's own commands: `stop`, `resume`, `signal`, `approvals`, `budget`, `secret`, `config` and `workflow`.

Decides words and options alone, as `sandbox.cli.arguments` does for the others.
"""

from __future__ import annotations

from sandbox.cli.parser import Commands, Parser, group, leaf
from sandbox.cli.policy.words import asking


def operating(commands: Commands) -> None:
    """Add the commands."""
    _explain(commands)
    _replay(commands)
    _stopping(commands)
    _approvals(commands)
    _role(commands)
    _budget(commands)
    _secret(commands)
    _config(commands)
    _workflow(commands)


def _explain(commands: Commands) -> None:
    summary = "say why a call is admitted or not, and why it may touch what is asked about; exit code 1 where an answer is no"
    words = "`TOOL [KEY=VALUE … | {JSON}]` or `COMPONENT`"
    explain = leaf(commands, "explain", "explain", summary, words, (1, None), completes="component")
    who_calls(explain)
    asking(explain)


def _replay(commands: Commands) -> None:
    summary = "list what was decided and would be otherwise under another admission document; exit code 1 where anything would"
    replay = leaf(commands, "replay", "replay", summary, "`FILE|NAME`", (1, 1), completes="admission", needs_home=True)
    replay.add_argument("--since", metavar="TIME", help="an ISO time, or how long ago: 10m, 1d")
    replay.add_argument("--until", metavar="TIME", help="the same (default: now)")


def who_calls(parser: Parser) -> None:
    """Add who is meant to ask, and by which document it is decided."""
    parser.add_argument("--subject", metavar="ID", default="local", help="who calls (default: local)")
    parser.add_argument("--role", metavar="ROLE", action="append", help="with this role, besides those of the document")
    parser.add_argument("--scope", metavar="SCOPE", action="append", help="with this scope (default: every shipped one)")
    parser.add_argument("--tenant", metavar="TENANT", help="of this tenant")
    parser.add_argument("--session", metavar="ID", help="in this session")
    parser.add_argument("--kind", metavar="ACTION", help="as this action, besides those of the tool")
    parser.add_argument("--document", metavar="FILE|NAME", help="by this document (default: the one in force here)")


def _approvals(commands: Commands) -> None:
    approvals = group(commands, "approvals", "look at the calls that wait for a person's approval, and answer")
    listing = leaf(approvals, "list", "approvals", "list what is asked for, and what became of it", "nothing more", (0, 0))
    listing.add_argument("--state", metavar="STATE", help="pending, approved, denied, expired, withdrawn or used")
    leaf(
        approvals, "show", "approvals", "show what exactly is asked for, with its arguments", "`ID`", (1, 1), completes="approval"
    )
    approve = leaf(approvals, "approve", "approvals", "let one call run, once", "`ID`", (1, 1), completes="approval")
    approve.add_argument("--yes", action="store_true", help="do not ask whether this is meant")
    deny = leaf(
        approvals, "deny", "approvals", "refuse it, and the same call while its time lasts", "`ID`", (1, 1), completes="approval"
    )
    withdraw = leaf(approvals, "withdraw", "approvals", "have it asked for no more", "`ID`", (1, 1), completes="approval")
    for answer in (approve, deny, withdraw):
        answer.add_argument("--note", default="", metavar="TEXT", help="why: told to who asked, and kept in the record")


def _role(commands: Commands) -> None:
    role = group(commands, "role", "give roles of the admission document to subjects while servers run")
    for name, what in (("assign", "give a role to a subject"), ("remove", "take a role from a subject that was given it so")):
        leaf(role, name, "role", what, "`SUBJECT` `ROLE`", (2, 2), completes="nothing")
    leaf(role, "list", "role", "list who was given which role while servers ran", "nothing more", (0, 0))


def _budget(commands: Commands) -> None:
    budget = group(commands, "budget", "look at what calls may use, and set it while servers run")
    show = "show how much of each budget is used, and what is shut because one was used up"
    leaf(budget, "show", "budget", show, "`[users/NAME …]`", (0, None), completes="nothing")
    whose = "`global|users/NAME|tenants/NAME|components/NAME|runs/NAME`"
    setting = leaf(
        budget, "set", "budget", "set a budget, in place of the admission document's", whose, (1, 1), completes="nothing"
    )
    for name, what in _LIMITS.items():
        setting.add_argument(f"--{name.replace('_', '-')}", metavar=what[0], help=what[1])
    leaf(budget, "drop", "budget", "take back a budget that was set", whose, (1, 1), completes="nothing")
    reopen = "let a run or a tool that was shut run again, with nothing used"
    leaf(budget, "reopen", "budget", reopen, "`runs/NAME|tools/NAME`", (1, 1), completes="nothing")


_LIMITS = {
    "max_cost": ("AMOUNT", "money, in the currency of the prices"),
    "max_tokens": ("N", "tokens of models"),
    "max_requests": ("N", "calls of whatever kind"),
    "max_tool_calls": ("N", "calls of tools"),
    "max_llm_calls": ("N", "calls of models"),
    "max_cpu_seconds": ("SECONDS", "CPU time of all calls together"),
    "max_egress_bytes": ("SIZE", "bytes that leave: 10Mi, 1Gi"),
    "max_seconds": ("SECONDS", "how long calls run, all together"),
    "max_cost_per_call": ("AMOUNT", "money that one call may cost"),
    "max_tokens_per_call": ("N", "tokens of one call"),
    "max_cpu_seconds_per_call": ("SECONDS", "CPU time of one call"),
    "max_egress_bytes_per_call": ("SIZE", "bytes that one call may send"),
    "max_seconds_per_call": ("SECONDS", "how long one call may run"),
    "period": ("PERIOD", "begin anew each minute, hour, day, week or month, in UTC (default: never)"),
    "soft_limit_percent": ("N", "warn from this share of a limit on"),
}


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


def _workflow(commands: Commands) -> None:
    workflow = group(commands, "workflow", "have a policy hold for several components at once")
    load = leaf(workflow, "load", "workflow", "have what it shares hold, from the next call", "`FILE`", (1, 1))
    load.add_argument("--name", metavar="NAME", help="what it is called here (default: the file's name)")
    check = "say all that is wrong with such a policy, without loading it"
    leaf(workflow, "check", "workflow", check, "`FILE`", (1, 1))
    unload = "take back what it gave; calls that run under it are stopped"
    leaf(workflow, "unload", "workflow", unload, "`NAME`", (1, 1), completes="nothing")
    leaf(workflow, "list", "workflow", "list those that hold, and what each gives", "nothing more", (0, 0))
