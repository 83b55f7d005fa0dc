"""`sandbox install CLIENT [FILE.wasm …]` and `sandbox uninstall CLIENT`.

Decides what the client starts: this very program, the components and policies that are named, all of it absolute, since a client
starts it in another folder with an almost empty environment. An entry of that name that says something else is never
overwritten unasked.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from sandbox.cli.exits import Exit
from sandbox.cli.home import policy_value
from sandbox.cli.install.clients import NAMES, PRINTED, Machine, client, scoped
from sandbox.cli.install.documents import changed, content, entry_of, replace
from sandbox.cli.install.needed import environment, needed_by
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, SandboxError


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `install` or `uninstall`."""
    name, *files = arguments.words
    if name not in NAMES:
        arguments.parser.refuse_word(name, NAMES)
    if arguments.action == "uninstall":
        if name == PRINTED:
            raise SandboxError("there is nothing to take out", help="name a client", code=Code.INVALID_ARGUMENTS)
        return _change(name, arguments, None, (), terminal)
    policies = [_policy(value, [Path(file).stem for file in files]) for value in arguments.policy]
    needed = needed_by(arguments, files, [policy for _, policy in policies])
    variables = environment(arguments.env, needed)
    missing = tuple(variable for variable in needed if variable not in variables)
    wanted = _entry(arguments, files, policies, variables)
    if name == PRINTED or arguments.print:
        code = _print(name, arguments, wanted, terminal)
    else:
        code = _change(name, arguments, wanted, missing, terminal)
    for variable in missing:
        terminal.note(f"warning: a policy needs `{variable}`, and the client has to set it: `--env {variable}=/path --replace`")
    return code


def _entry(arguments: Namespace, files: list[str], policies: list[tuple[str, str]], variables: dict[str, str]) -> dict[str, Any]:
    words = ["run", *(_file(file) for file in files)]
    for component, policy in policies:
        words += ["--policy", f"{component}{policy}"]
    for option, variable in (("home", "SANDBOX_HOME"), ("config", "SANDBOX_CONFIG")):
        if place := getattr(arguments, option) or os.environ.get(variable):
            words += [f"--{option}", str(Path(place).expanduser().absolute())]
    program, *first = _program()
    return {"command": program, "args": [*first, *words], **({"env": variables} if variables else {})}


def _program() -> list[str]:
    """This program, as something that starts it from anywhere. The link in a virtual environment stays one."""
    beside = Path(sys.executable).with_name("sandbox.exe" if os.name == "nt" else "sandbox")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "sandbox"]


def _file(file: str) -> str:
    path = Path(file).expanduser().absolute()
    if not path.is_file():
        raise SandboxError(f"{file}: there is no such file", help="name a component: `FILE.wasm`", code=Code.INVALID_ARGUMENTS)
    return str(path)


def _policy(value: str, components: list[str]) -> tuple[str, str]:
    """What stands before a policy, `NAME=` or nothing, and the policy."""
    name, equals, rest = value.partition("=")
    named = bool(equals) and name in components
    policy = policy_value(rest if named else value)
    if isinstance(policy, Path):
        policy = _file(str(policy))
    return f"{name}=" if named else "", policy


def _print(name: str, arguments: Namespace, entry: dict[str, Any], terminal: Terminal) -> int:
    """The entry alone, for who writes it by hand; in the form of the client's file."""
    if name == PRINTED:
        terminal.data({"mcpServers": {arguments.name: entry}}, indented=True)
        return Exit.OK
    found = client(name)
    entry = {**found.entry, **entry}
    _, place = scoped(name, arguments.scope)
    if place[-1].endswith(".toml") and not terminal.json:
        terminal.text(changed(Path(place[-1]), "", found.key, arguments.name, entry).rstrip())
    else:
        terminal.data({found.key: {arguments.name: entry}}, indented=True)
    return Exit.OK


def _change(name: str, arguments: Namespace, entry: dict[str, Any] | None, missing: tuple[str, ...], terminal: Terminal) -> int:
    found = client(name)
    scope, place = scoped(name, arguments.scope)
    file = Machine(sys.platform, Path.home(), os.environ, Path.cwd()).find(place)
    if scope == "project":
        _refuse_outside(file)
    entry = None if entry is None else {**found.entry, **entry}
    old = content(file)
    there = entry_of(file, old or "", found.key, arguments.name)
    _refuse_another(file, arguments, there, entry)
    new = old or "" if there == entry else changed(file, old or "", found.key, arguments.name, entry)
    told: dict[str, Any] = {"client": name, "scope": scope, "file": str(file), "name": arguments.name, "entry": entry}
    told |= {"changed": new != (old or ""), "written": False, "backup": None, "missing": list(missing)}
    if told["changed"] and not arguments.dry_run:
        kept = replace(file, old, new)
        told |= {"written": True, "backup": None if kept is None else str(kept)}
    _tell(told, found.then, old or "", new, arguments, terminal)
    return Exit.OK


def _refuse_outside(file: Path) -> None:
    """A link in one's own home is one's own; one in a project came with the project, and leads where its author likes."""
    target = file.resolve()
    if not target.is_relative_to(Path.cwd().resolve()):
        raise SandboxError(
            f"{file}: a link leads out of the project, to `{target}`",
            help="put a plain file in its place, or change that file by hand: `--print` shows the entry",
            code=Code.INVALID_ARGUMENTS,
        )


def _refuse_another(file: Path, arguments: Namespace, there: Any, entry: dict[str, Any] | None) -> None:
    if there is None or entry is None or there == entry or arguments.replace:
        return
    raise SandboxError(
        f"{file}: `{arguments.name}` is there already and says something else: `{json.dumps(there)[:200]}`",
        help="`--name OTHER` adds a second one, `--replace` puts this one in its place",
        code=Code.INVALID_ARGUMENTS,
    )


def _tell(told: dict[str, Any], then: str, old: str, new: str, arguments: Namespace, terminal: Terminal) -> None:
    if terminal.json:
        terminal.data(told)
    elif not told["changed"]:
        terminal.line(f"{told['file']}: `{told['name']}` is {'not there' if told['entry'] is None else 'there already'}")
    elif arguments.dry_run:
        terminal.text("".join(_difference(old, new, told["file"])).rstrip())
    else:
        terminal.line(f"{told['file']}: `{told['name']}` is {'out' if told['entry'] is None else 'in'}")
        if told["backup"]:
            terminal.note(f"the file as it was: {told['backup']}")
        terminal.note(f"next: {then}")


def _difference(old: str, new: str, file: str) -> list[str]:
    return list(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), file, file))
