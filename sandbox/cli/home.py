"""Where a command finds the host's folder, and the policy that a word names."""

from __future__ import annotations

import os
import resource
from argparse import Namespace
from pathlib import Path

from sandbox.errors import Code, SandboxError


def home_of(arguments: Namespace) -> Path | None:
    """The folder of `--home`, or None for the default."""
    return None if arguments.home is None else Path(arguments.home)


def refuse_no_home(arguments: Namespace) -> None:
    """Refuse a home that somebody named and that is not there, rather than make one where a path is mistyped."""
    named = arguments.home or os.environ.get("SANDBOX_HOME")
    if named and not Path(named).expanduser().exists():
        raise SandboxError(
            f"{named}: there is no home there",
            help="is the path right? `sandbox component load`, `run` and `serve` make one",
            code=Code.INVALID_ARGUMENTS,
        )


def leave_no_core_dump() -> None:
    """Have no image of this process's memory written if it crashes: it holds secrets."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def policy_value(value: str) -> Path | str:
    """The file that a person names, or the name of a named policy."""
    path = Path(value)
    return path if "/" in value or path.suffix or path.exists() else value
