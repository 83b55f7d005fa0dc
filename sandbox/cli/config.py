"""`sandbox config`: what holds here, where each value comes from, and whether the files are well formed."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.cli.configured import configuration_of, places_of
from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal
from sandbox.config import Configuration, load_configuration
from sandbox.config.settings import BUILT_IN
from sandbox.policy.models import PolicyDocument


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `config show`, `check` or `path`."""
    return {"show": _show, "check": _check, "path": _path}[arguments.action](arguments, terminal)


def _show(arguments: Namespace, terminal: Terminal) -> int:
    configuration = configuration_of(arguments)
    ceiling = list(_ceiling(configuration.ceiling))
    if terminal.json:
        settings = [{"key": one.key, "value": one.value, "origin": one.origin} for one in configuration.settings]
        lines = [{"section": section, "line": entry, "origin": origin} for section, entry, origin in ceiling]
        terminal.data({"settings": settings, "ceiling": None if configuration.ceiling is None else lines})
        return Exit.OK
    rows = [(one.key, _spelled(one.value), one.origin) for one in configuration.settings]
    rows += [(f"ceiling.{section}", _spelled(entry), origin) for section, entry, origin in ceiling]
    rows += [] if configuration.ceiling is not None else [("ceiling", "none: a policy may give anything", BUILT_IN)]
    terminal.table(("KEY", "VALUE", "WHERE FROM"), rows, none="nothing is configured")
    return Exit.OK


def _ceiling(ceiling: PolicyDocument | None) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every line of every ceiling: its section, the entry as written, its place."""
    for document in () if ceiling is None else ceiling.ceilings:
        for section, effect, entries in document.sections():
            yield from ((f"{section}.{effect}", entry.plain(), entry.origin) for entry in entries)
        limits = document.permissions.resources.limits
        written = limits.model_dump(mode="json", exclude_none=True)
        yield from (("resources.limits", {name: value}, limits.origin(name)) for name, value in written.items())


def _spelled(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _check(arguments: Namespace, terminal: Terminal) -> int:
    configuration = _checked(arguments)
    files = [str(file) for file in configuration.files]
    if terminal.json:
        terminal.data({"ok": True, "files": files, "warnings": list(configuration.warnings)})
        return Exit.OK
    terminal.line(f"ok: {', '.join(files)}" if files else "ok: there is no file, and what holds is the default")
    for warning in configuration.warnings:
        terminal.note(f"warning: {warning}")
    return Exit.OK


def _checked(arguments: Namespace) -> Configuration:
    places = places_of(arguments)
    if arguments.words:
        places = replace(places, operator=Path(arguments.words[0]), project=None)
    return load_configuration(places, os.environ)


def _path(arguments: Namespace, terminal: Terminal) -> int:
    places = places_of(arguments)
    operator = places.operator or places.users
    if terminal.json:
        project = None if places.project is None else str(places.project)
        terminal.data({"operator": str(operator), "there": operator.exists(), "project": project})
        return Exit.OK
    terminal.line(operator)
    if not operator.exists():
        terminal.note("there is no such file yet: what holds is the default")
    if places.project is not None:
        terminal.note(f"narrowed by {places.project}")
    return Exit.OK
