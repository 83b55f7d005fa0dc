"""The options of the commands that keep components: `component load`, `accept`, `unload`, `list` and `inspect`."""

from __future__ import annotations

from sandbox.cli.parser import Commands, Parser, leaf, naming


def keeping(group: Commands) -> None:
    """Declare the commands."""
    loading = "install a component: show what it is and asks for, and keep it for `run` and `serve`"
    load = _leaf(group, "load", loading, "`FILE.wasm|FOLDER|URL`", (1, 1), "wasm")
    load.add_argument("--name", metavar="NAME", help="what it is called here (default: its file's name)")
    load.add_argument("--digest", metavar="SHA256", help="what its bytes must be; a URL needs it, here or as `#sha256=…`")
    accept = _leaf(group, "accept", "accept what waits of an installed component", "`COMPONENT`", (1, 1), "component")
    _accepting(load, "--accept", "accept what it asks for, and an update's changed tools, without a question")
    _accepting(accept, "--yes", "without a question")
    _leaf(group, "unload", "take components away, from running servers too", "`COMPONENT …`", (1, None), "component")
    _leaf(group, "list", "list the installed components", "nothing more", (0, 0), "nothing")
    looking = "say what a component is, imports and asks for; it is never run"
    inspect = _leaf(group, "inspect", looking, "`FILE.wasm|FOLDER|URL|COMPONENT`", (1, 1), "component-or-file")
    inspect.add_argument("--digest", metavar="SHA256", help="what its bytes must be; a URL needs it, here or as `#sha256=…`")


def _leaf(group: Commands, name: str, summary: str, wanted: str, count: tuple[int, int | None], completes: str) -> Parser:
    there = name in {"accept", "unload", "list"}
    parser = leaf(group, name, "component", summary, wanted, count, completes=completes, needs_home=there)
    parser.add_argument("--ceiling", metavar="FILE", help="the most that any policy may give here")
    parser.set_defaults(isolation=None, nameserver=None)
    return parser


def _accepting(parser: Parser, flag: str, meaning: str) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument(flag, dest="accept", action="store_true", help=meaning)
    one.add_argument(
        "--accept-tools", action="store_true", help="accept an update's changed tools alone, under the policy in force"
    )
    policy = one.add_argument("--policy", metavar="FILE|NAME", help="accept it under this policy, in place of what it asks for")
    naming(policy, "policy")
    waived = "accept a field of that policy that WASI cannot have, without effect"
    parser.add_argument("--waive", action="append", default=[], metavar="FIELD", help=waived)
