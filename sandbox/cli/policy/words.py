"""The shape of `sandbox policy`: its commands, their words and options, and nothing of what they do."""

from __future__ import annotations

from sandbox.cli.parser import Commands, Parser, group, leaf

_ONE = "`FILE|NAME|COMPONENT`"


def policies(commands: Commands) -> None:
    """Add the commands."""
    policy = group(commands, "policy", "write, compare and change policies")
    _reading(policy)
    _comparing(policy)
    _changing(policy)


def _reading(policy: Commands) -> None:
    check = leaf(
        policy,
        "check",
        "policy.check",
        "say line by line what enforces a policy, or all that is wrong with it",
        "`FILE|NAME …`",
        (1, None),
        completes="policy",
    )
    explain = leaf(
        policy,
        "explain",
        "policy.explain",
        "say what a policy decides, by which line, and what would change it",
        _ONE,
        (1, 1),
        completes="policy",
    )
    for parser in (check, explain):
        _surroundings(parser)
    asking(explain)
    summary = "show the rules in force for a component, where each comes from and what enforces it"
    _ceiling(leaf(policy, "get", "policy.get", summary, "`COMPONENT`", (1, 1), completes="component", needs_home=True))
    leaf(policy, "list", "policy.named", "list the policies that ship with the host", "nothing more", (0, 0))
    schema = leaf(policy, "schema", "policy.schema", "print the JSON Schema of policies, for editors", "nothing more", (0, 0))
    schema.add_argument("--of", default="2.0", choices=["2.0", "1.0"], help="the version of the document (default: 2.0)")
    schema.add_argument("--output", metavar="FILE", help="write it there, and say how a document names it")


def asking(parser: Parser) -> None:
    """Add what may be asked about an effect."""
    for access in ("read", "write", "create", "delete"):
        parser.add_argument(f"--{access}", metavar="PATH", action="append", help=f"may it {access} this path of the host")
    parser.add_argument("--url", metavar="URL", action="append", help="may it reach this URL")
    parser.add_argument("--method", metavar="METHOD", default="GET", help="with this method (default: GET)")
    parser.add_argument("--env", metavar="NAME", action="append", help="may it see this variable")
    parser.add_argument("--limit", metavar="NAME[=VALUE]", action="append", help="which limit holds, or may it use so much")


def _comparing(policy: Commands) -> None:
    summary = "show what one policy permits and another does not, each with an example; exit code 1 where they differ"
    diff = leaf(policy, "diff", "policy.diff", summary, f"{_ONE}, twice", (2, 2), completes="policy")
    _surroundings(diff)
    migrate = leaf(
        policy,
        "migrate",
        "policy.migrate",
        'write a policy of version "1.0" as "2.0"',
        "`FILE|COMPONENT`",
        (1, 1),
        completes="policy",
    )
    migrate.add_argument("--output", metavar="FILE", help="write it there (default: print it)")
    migrate.add_argument("--set", action="store_true", help="of a component: put it in place of the one that was accepted")
    _waive(migrate)


def _changing(policy: Commands) -> None:
    put = leaf(
        policy,
        "set",
        "policy.put",
        "put a policy in place for a component, and show what that changes",
        "`COMPONENT FILE|NAME`",
        (2, 2),
        completes="component",
        needs_home=True,
    )
    put.add_argument("--dry-run", action="store_true", help="show what it would change, and change nothing")
    _ceiling(put)
    _waive(put)
    back = leaf(
        policy,
        "rollback",
        "policy.rollback",
        "put an earlier version of a component's policy back in force",
        "`COMPONENT`",
        (1, 1),
        completes="component",
        needs_home=True,
    )
    back.add_argument("--to", metavar="VERSION", type=int, help="this one (default: the one before the last)")
    back.add_argument("--yes", action="store_true", help="without a question, also where it gives more than there is now")
    _ceiling(back)
    summary = "list the versions of a component's policy"
    leaf(policy, "versions", "policy.versions", summary, "`COMPONENT`", (1, 1), completes="component", needs_home=True)


def _surroundings(parser: Parser) -> None:
    parser.add_argument("--component", metavar="FILE.wasm", help="judge it for this component")
    _ceiling(parser)
    _waive(parser)


def _ceiling(parser: Parser) -> None:
    parser.add_argument("--ceiling", metavar="FILE", help="the most that any policy may give here")


def _waive(parser: Parser) -> None:
    parser.add_argument(
        "--waive", action="append", default=[], metavar="FIELD", help="accept a field that WASI cannot have, without effect"
    )
