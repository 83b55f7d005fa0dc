"""The shape of `sandbox permission`: what may be granted, for how long, and taken back.

Decides words and options alone, as `sandbox.cli.arguments` does for the others.
"""

from __future__ import annotations

from sandbox.cli.parser import Commands, Parser, count, group, leaf

_KINDS = "`COMPONENT storage URI | network HOST | environment KEY[=VALUE] | resource LIMIT=VALUE …`, or `--from-denial ID`"


def permitting(commands: Commands) -> None:
    """Add the commands."""
    permission = group(commands, "permission", "grant and revoke while components run")
    giving = "give a component one more permission, at once"
    _granting(leaf(permission, "grant", "permission", giving, _KINDS, (0, None), completes="granted", needs_home=True))
    taking = "take a grant back, and stop what runs under it"
    revoke = leaf(permission, "revoke", "permission", taking, "`GRANT_ID`", (0, 1), completes="grant", needs_home=True)
    revoke.add_argument("--component", metavar="COMPONENT", help="with --all: every grant of this component")
    revoke.add_argument("--all", action="store_true")
    resetting = "end every grant of a component, denies too: its accepted policy alone holds again"
    reset = leaf(
        permission, "reset", "permission", resetting, "`COMPONENT`, or `--all`", (0, 1), completes="component", needs_home=True
    )
    reset.add_argument(
        "--all", action="store_true", help="of every component, also where the store was changed by something else"
    )
    leaf(
        permission,
        "list",
        "permission",
        "list the grants that hold",
        "`[COMPONENT]`",
        (0, 1),
        completes="component",
        needs_home=True,
    )


def _granting(grant: Parser) -> None:
    grant.add_argument("--from-denial", metavar="ID", help="the smallest grant that would have allowed this denial")
    grant.add_argument("--access", default="read", metavar="A,B", help="storage: read, write, create, delete (default: read)")
    grant.add_argument("--mount", metavar="PATH", help="storage: the guest's name for it")
    grant.add_argument("--max-file-size", metavar="SIZE", help="storage: the longest file that may be written: 10Mi")
    grant.add_argument("--max-total-size", metavar="SIZE", help="storage: the most that may lie there: 100Mi")
    grant.add_argument("--cidr", metavar="NET", help="network: addresses in place of a host")
    for option in ("port", "protocol", "method", "path"):
        grant.add_argument(f"--{option}", action="append", metavar=option.upper(), help="network: may be repeated")
    limit = (
        "network: what the requests may use: requests=60/min, connections=4, request_bytes=1Mi, response_bytes=10Mi, timeout=5s"
    )
    grant.add_argument("--limit", action="append", metavar="NAME=VALUE", help=f"{limit}; may be repeated")
    grant.add_argument("--deny", action="store_true", help="take away in place of giving")
    grant.add_argument("--reason", metavar="TEXT", help="kept with the grant")
    lasting = grant.add_mutually_exclusive_group()
    lasting.add_argument("--once", action="store_const", dest="lifetime", const="once", help="for the next call alone")
    lasting.add_argument(
        "--lasting", action="store_const", dest="lifetime", const="lasting", help="until it is revoked (the default)"
    )
    grant.add_argument("--expires-in", metavar="TIME", help="ends by itself: 30s, 10m, 2h, 7d")
    grant.add_argument("--max-uses", type=count, metavar="N", help="ends after so many calls")
