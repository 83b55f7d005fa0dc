"""`sandbox policy`: what a document means on this host, line by line, and what it decides.

Reads and compiles, starts nothing and writes nothing: what it says of paths, links and variables is true at this moment.
"""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sandbox.cli.exits import Exit
from sandbox.cli.home import home_of, policy_value
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, SandboxError
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import named_policy
from sandbox.state.home import Home, default_home
from sandbox.template.compile import CompiledPolicy, Kind, compile_template
from sandbox.template.explain import Explanation, explain_environment, explain_file, explain_url
from sandbox.template.template import Access
from sandbox.wit.types import Digest


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `policy check` or `policy explain`."""
    document = _document(arguments)
    compiled = _compiled(document, arguments)
    code = _check(terminal, document, compiled) if arguments.action == "check" else _explain(arguments, terminal, compiled)
    if arguments.component is None and compiled.own_folders and not terminal.json:
        terminal.note(
            f"`{_data_folder(arguments)}` stands for the component's own data folder; `--component FILE.wasm` says whose"
        )
    return code


def _document(arguments: Namespace) -> PolicyDocument:
    """The file, or the policy of that name where `--policy` would take one."""
    given = policy_value(arguments.words[0])
    return named_policy(given) if isinstance(given, str) else load_policy_file(given, waive=tuple(arguments.waive))


def _compiled(document: PolicyDocument, arguments: Namespace) -> CompiledPolicy:
    """The document as it would hold for the component, or for one of the file's name."""
    home = _home(arguments)
    return compile_template(
        document,
        digest=_digest(arguments.component),
        name=_name(arguments),
        ceiling=None if arguments.ceiling is None else load_policy_file(Path(arguments.ceiling)),
        data_folder=str(_data_folder(arguments)),
        home=str(Path.home()),
        host_environment=os.environ,
        protected=(*home.own, os.path.realpath(arguments.words[0])),
        resolve=os.path.realpath,
        kind=_kind,
    )


def _home(arguments: Namespace) -> Home:
    # Not `Home.open`: a check leaves no folder behind.
    return Home((home_of(arguments) or default_home(os.environ)).expanduser().resolve())


def _name(arguments: Namespace) -> str:
    return Path(arguments.component or arguments.words[0]).stem


def _data_folder(arguments: Namespace) -> Path:
    # Not `Home.data_place`: a policy's file may have a name that no component can have.
    return _home(arguments).path / "data" / _name(arguments)


def _digest(component: str | None) -> Digest:
    return Digest("" if component is None else hashlib.sha256(Path(component).read_bytes()).hexdigest())


def _kind(path: str) -> Kind:
    found = Path(path)
    return "folder" if found.is_dir() else "file" if found.exists() else "absent"


def _check(terminal: Terminal, document: PolicyDocument, compiled: CompiledPolicy) -> int:
    if terminal.json:
        told: dict[str, Any] = {"ok": True, "digest": document.digest, "version": document.written_version}
        lines = [asdict(note) for note in compiled.notes]
        terminal.data({**told, "lines": lines, "warnings": list(compiled.warnings)})
        return Exit.OK
    rows = [(note.origin, note.line, note.enforced_by) for note in compiled.notes]
    terminal.table(("LINE", "WHAT IT SAYS", "WHAT ENFORCES IT"), rows, none="nothing is granted")
    for warning in compiled.warnings:
        terminal.note(f"warning: {warning}")
    return Exit.OK


def _explain(arguments: Namespace, terminal: Terminal, compiled: CompiledPolicy) -> int:
    found = list(_explanations(arguments, compiled))
    if not found:
        raise SandboxError(
            "nothing is asked", help="write `--read PATH`, `--url URL` or `--env NAME`", code=Code.INVALID_ARGUMENTS
        )
    if terminal.json:
        terminal.data([asdict(each) for each in found])
    else:
        for each in found:
            terminal.line(each.line)
    return Exit.OK if all(each.allowed for each in found) else Exit.REFUSED


def _explanations(arguments: Namespace, compiled: CompiledPolicy) -> list[Explanation]:
    asked = {"read": Access.READ, "write": Access.WRITE, "create": Access.CREATE, "delete": Access.DELETE}
    found = [
        _with_mount(compiled, path, explain_file(compiled.template, os.path.realpath(path), access))
        for word, access in asked.items()
        if (path := getattr(arguments, word)) is not None
    ]
    if arguments.url is not None:
        found.append(explain_url(compiled.template, arguments.url, arguments.method.upper()))
    if arguments.env is not None:
        found.append(explain_environment(compiled.template, arguments.env))
    return found


def _with_mount(compiled: CompiledPolicy, path: str, answer: Explanation) -> Explanation:
    """The answer, and where the path lies that the component calls so: a refusal that a person copies names that one."""
    mounts = [each for each in compiled.template.preopens if each.guest_path != each.host_path]
    for mount in sorted(mounts, key=lambda each: len(each.guest_path), reverse=True):
        if not answer.allowed and Path(path).is_relative_to(mount.guest_path):
            meant = Path(mount.host_path, Path(path).relative_to(mount.guest_path))
            return replace(answer, line=f"{answer.line}; what the component calls so is `{meant}`: ask about that")
    return answer
