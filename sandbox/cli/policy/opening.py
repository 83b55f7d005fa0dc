"""The components of this home, for policy commands: opened as a host that starts no process."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from sandbox.api import Sandbox
from sandbox.cli.home import policy_value
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.policy.reading import home_here
from sandbox.errors import NotFound
from sandbox.in_force.accepted import Given, Waiving
from sandbox.policy.named import policy_names
from sandbox.policy.refusal import one_of


def opened(arguments: Namespace) -> Sandbox:
    """The home as a host that starts no process; to be used in `async with`."""
    return open_sandbox(arguments, source="terminal")


async def component_of(word: str, arguments: Namespace) -> str | None:
    """The component that a word names: not where there is such a file, nor where no home is.

    Raises NotFound for a word that names nothing at all, here, where it is known what there is.
    """
    file = policy_value(word)
    is_file = isinstance(file, Path) and not file.is_dir()
    if is_file or not home_here(arguments).state.exists():
        return None
    async with opened(arguments) as sandbox:
        try:
            sandbox.get_policy(word)
        except NotFound:
            if word in policy_names():
                return None
            names = [view.name for view in sandbox.components()]
            raise NotFound(
                f"there is no component and no policy named `{word}`",
                help=f"{one_of(word, (*names, *policy_names()))}; a file is named by its path",
            ) from None
    return word


def given(word: str, waive: tuple[str, ...]) -> Given:
    """The same as a value that a component can be put under."""
    value = policy_value(word)
    return Waiving(value, waive) if waive else value
