"""What may be written after `sandbox audit`."""

from __future__ import annotations

from sandbox.cli.parser import Commands, Parser, count, group, leaf, naming


def auditing(commands: Commands) -> None:
    """Declare the commands."""
    of = group(commands, "audit", "read the record of what happened")
    listing = leaf(of, "list", "audit.listing", "list events", "nothing more", (0, 0), needs_home=True)
    _asking(listing)
    listing.add_argument("--limit", type=count, default=100, metavar="N", help="the newest N (default: 100)")
    leaf(of, "show", "audit.showing", "show all that is on record of one call", "`ID`", (1, 1), needs_home=True)
    told = "count calls, refusals, failures and costs"
    stats = leaf(of, "stats", "audit.counting", told, "nothing more", (0, 0), needs_home=True)
    _asking(stats)
    stats.add_argument(
        "--by", default="subject", metavar="WHAT", help="subject (the default), tenant, tool, component, type, day, hour"
    )
    stats.add_argument(
        "--limit", type=count, default=100, metavar="N", help="the N that cost, or were called, most (default: 100)"
    )
    copying = "copy events as JSON lines into a new file of yours alone, or to standard output"
    export = leaf(of, "export", "audit.exporting", copying, "`[FILE|-]`", (0, 1), needs_home=True, completes="file")
    _asking(export)
    export.add_argument("--otlp", metavar="URL", help="to a collector of OpenTelemetry's in place of a file")
    checking = "check that no event was changed, moved or removed"
    leaf(of, "verify", "audit.verifying", checking, "nothing more", (0, 0), needs_home=True)


def _asking(parser: Parser) -> None:
    naming(parser.add_argument("--component", metavar="COMPONENT"), "component")
    parser.add_argument("--event", metavar="TYPE", help="tool_invoke, tool_success, tool_failure, access_denied, …")
    parser.add_argument("--call", metavar="ID", help="all events of one call, by its id in the last column")
    parser.add_argument("--subject", metavar="NAME", help="of one user or agent")
    parser.add_argument("--tenant", metavar="NAME")
    naming(parser.add_argument("--tool", metavar="TOOL"), "tool")
    parser.add_argument("--outcome", metavar="WORD", help="allow, deny, returned, trapped, … or an error's code")
    parser.add_argument("--session", metavar="ID")
    parser.add_argument("--trace", metavar="ID", help="of one trace of OpenTelemetry's, by its id")
    parser.add_argument("--min-cost", metavar="COST", help="of calls that cost at least as much")
    parser.add_argument("--since", metavar="TIME", help="an ISO time, or how long ago: 10m, 2h")
    parser.add_argument("--until", metavar="TIME", help="likewise")
