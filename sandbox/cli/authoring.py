"""What may be written behind `sandbox init` and `sandbox component build`."""

from __future__ import annotations

from sandbox.cli.parser import Commands, leaf

LANGUAGES = ("python", "javascript", "c")
"""Those that a project can be started in; `sandbox.cli.building` knows one more."""


def starting(commands: Commands) -> None:
    """Declare `init`."""
    summary = "start a component project: WIT, source, policy, test"
    parser = leaf(commands, "init", "init", summary, "`NAME`", (1, 1), completes="nothing")
    parser.add_argument("--language", choices=LANGUAGES, required=True, metavar="|".join(LANGUAGES), help="what it is written in")
    parser.add_argument("--directory", metavar="DIR", help="where it lies (default: NAME, below this folder)")


def building(group: Commands) -> None:
    """Declare `component build`."""
    summary = "build the component of a project, with its documentation"
    parser = leaf(group, "build", "build", summary, "`[DIR]`", (0, 1))
    parser.add_argument("--embed-policy", action="store_true", help="put the policy that it asks for into the file too")
