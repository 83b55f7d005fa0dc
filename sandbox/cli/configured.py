"""The configuration of a command line: its files, the environment's twins, its flags.

Decides which file is the operator's (`--config`) and whose project it is: the folder where the command is run. What holds then is
`sandbox.config`.
"""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from pathlib import Path

from sandbox.config import Configuration, Flags, Places, find_places, load_configuration

_LOG = logging.getLogger(__name__)


def places_of(arguments: Namespace) -> Places:
    """The files that a command reads."""
    return find_places(_path(arguments, "config"), os.environ, Path.cwd())


def configuration_of(arguments: Namespace) -> Configuration:
    """What holds for a command, read once; raises PolicyError with every problem of every file and variable."""
    if isinstance(known := getattr(arguments, "configuration", None), Configuration):
        return known
    flags = Flags(_path(arguments, "ceiling"), getattr(arguments, "isolation", None))
    configuration = load_configuration(places_of(arguments), os.environ, flags)
    for warning in configuration.warnings:
        _LOG.warning("%s", warning)
    arguments.configuration = configuration
    return configuration


def _path(arguments: Namespace, option: str) -> Path | None:
    value = getattr(arguments, option, None)
    return None if value is None else Path(value)
