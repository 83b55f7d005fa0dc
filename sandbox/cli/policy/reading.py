"""The document that a word of a policy command names, and the template that it stands for here.

A file, or a policy that ships with the host. Reads and compiles; what it says of paths, links and variables is true at this
moment. A home that is not there yet is not made. What a component has is `opening`'s: it takes longer to start.
"""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.cli.configured import configuration_of
from sandbox.cli.home import home_of, policy_value
from sandbox.errors import Code, ComponentError, SandboxError
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import named_policy
from sandbox.state.home import Home, default_home
from sandbox.state.secret_key import own_places
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


def document_of(word: str, waive: tuple[str, ...]) -> PolicyDocument:
    """The document in a file, or the policy of that name."""
    given = policy_value(word)
    return named_policy(given) if isinstance(given, str) else load_policy_file(given, waive=waive)


def judged(word: str, arguments: Namespace, *, ceiling: bool = True) -> Judged:
    """The document as it would hold for the component of the command, or one of the file's name; without the ceiling if asked."""
    document = document_of(word, tuple(arguments.waive))
    configuration = configuration_of(arguments)
    files = [os.path.realpath(str(file)) for file in (*configuration.own_files, word)]
    compiled = compile_template(
        document,
        digest=_digest(arguments.component),
        name=_name(word, arguments),
        ceiling=configuration.ceiling if ceiling else None,
        data_folder=str(data_folder(word, arguments)),
        home=str(Path.home()),
        host_environment=os.environ,
        protected=(*home_here(arguments).own, *own_places(os.environ), *files),
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
