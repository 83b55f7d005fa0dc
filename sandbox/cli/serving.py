"""The options of what serves MCP clients: `sandbox serve`, and those that `run` shares with it."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.cli.parser import Commands, Parser, leaf


def serving(commands: Commands, hosting: Callable[[Parser], None]) -> None:
    """Add `serve`. `hosting` adds the options of what opens a host."""
    summary = "serve components as MCP tools over HTTP"
    parser = leaf(commands, "serve", "serve", summary, "`[FILE.wasm …]`", (0, None), completes="wasm")
    hosting(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="listen there (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=_port, default=8787, metavar="PORT", help="0 takes a free one (default: 8787)")
    parser.add_argument("--path", default="/mcp", metavar="PATH", help="where MCP is (default: /mcp); /health is beside it")
    token = "ask for one of the tokens in FILE, made where it is not there; $SANDBOX_TOKEN does the same"  # noqa: S105 - a help text
    parser.add_argument("--token-file", metavar="FILE", help=token)
    name = "another name that clients call this server, as `box.example.com`; may be repeated"
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=name)
    origin = "web pages of this origin may speak to it, as `https://app.example.com`; may be repeated"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=origin)
    builtin(parser)


def builtin(parser: Parser) -> None:
    """Add the option that leaves the host's own tools out."""
    parser.add_argument("--disable-builtin-tools", action="store_true", help="serve the components' tools alone")


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 0xFFFF:
        raise ValueError
    return number


_port.__name__ = "port"  # argparse names the type in its message
