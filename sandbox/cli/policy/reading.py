"""What a word of a policy command means here, and the template that it stands for.

Decides between a file, a component of this home and a policy that ships with the host, in this order. Reads and compiles; what it
says of paths, links and variables is true at this moment. A home that is not there yet is not made.
"""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.accepted import Given, Waiving
from sandbox.api import Sandbox
from sandbox.cli.configured import configuration_of
from sandbox.cli.home import home_of, policy_value
from sandbox.cli.hosting import open_sandbox
from sandbox.errors import Code, ComponentError, NotFound, SandboxError
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import named_policy
from sandbox.state.home import Home, default_home
from sandbox.template.compile import CompiledPolicy, Kind, compile_template
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class Judged:
    """A document, and what it means on this host."""

    document: PolicyDocument
    compiled: CompiledPolicy


def home_here(arguments: Namespace) -> Home:
    """The home of the command, which may not be there."""
    # Not `Home.open`: a check leaves no folder behind.
    return Home((home_of(arguments) or default_home(os.environ)).expanduser().resolve())


def opened(arguments: Namespace) -> Sandbox:
    """The home as a host that starts no process; to be used in `async with`."""
    return open_sandbox(arguments, source="terminal")


async def component_of(word: str, arguments: Namespace) -> str | None:
    """The component that a word names: not where there is such a file, nor where no home is."""
    if isinstance(policy_value(word), Path) or not (home_here(arguments).state / "state.sqlite").exists():
        return None
    async with opened(arguments) as sandbox:
        try:
            sandbox.get_policy(word)
        except NotFound:
            return None
    return word


def document_of(word: str, waive: tuple[str, ...]) -> PolicyDocument:
    """The document in a file, or the policy of that name."""
    given = policy_value(word)
    return named_policy(given) if isinstance(given, str) else load_policy_file(given, waive=waive)


def given(word: str, waive: tuple[str, ...]) -> Given:
    """The same as a value that a component can be put under."""
    value = policy_value(word)
    return Waiving(value, waive) if waive else value


def judged(word: str, arguments: Namespace, *, ceiling: bool = True) -> Judged:
    """The document as it would hold for the component of the command, or one of the file's name; without the ceiling if asked."""
    document = document_of(word, tuple(arguments.waive))
    configuration = configuration_of(arguments)
    compiled = compile_template(
        document,
        digest=_digest(arguments.component),
        name=_name(word, arguments),
        ceiling=configuration.ceiling if ceiling else None,
        data_folder=str(data_folder(word, arguments)),
        home=str(Path.home()),
        host_environment=os.environ,
        protected=(*home_here(arguments).own, *map(os.path.realpath, (*configuration.own_files, word))),
        resolve=os.path.realpath,
        kind=_kind,
    )
    return Judged(document, compiled)


def data_folder(word: str, arguments: Namespace) -> Path:
    """Where the component's own data would lie."""
    # Not `Home.data_place`: a policy's file may have a name that no component can have.
    return home_here(arguments).path / "data" / _name(word, arguments)


def usage(message: str, help: str) -> NoReturn:  # noqa: A002 - the word of the error style
    """Refuse a command line."""
    raise SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)


def _name(word: str, arguments: Namespace) -> str:
    return Path(arguments.component or word).stem


def _digest(component: str | None) -> Digest:
    if component is None:
        return Digest("")
    try:
        return Digest(hashlib.sha256(Path(component).read_bytes()).hexdigest())
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise ComponentError(f"`{component}` cannot be read: {said}", help="give the path of a .wasm file") from None


def _kind(path: str) -> Kind:
    found = Path(path)
    return "folder" if found.is_dir() else "file" if found.exists() else "absent"
