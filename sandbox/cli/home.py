"""Where a command finds the host's folder."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path


def home_of(arguments: Namespace) -> Path | None:
    """The folder of `--home`, or None for the default."""
    return None if arguments.home is None else Path(arguments.home)
