"""What a person names as the source of a component: a file, a folder, a URL; and the policy that lies beside it.

Decides what a word means and which bytes it stands for. Whether they are a component is `sandbox.host`'s to say; what the policy
that they ask for would give is `sandbox.registry.asked`.

Rules: a URL is fetched only where its digest is known, and is what that says or is refused; a file's policy is
`NAME.policy.yaml` beside it, else the folder's `policy.yaml` where it is the folder's only component, else the section
`sandbox-policy` within. Nobody has accepted any of it: it is read, and bounded, and believed in nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sandbox.errors import ComponentError, PolicyError
from sandbox.policy.file import read_policy_file
from sandbox.registry.https import fetch, parsed, shown
from sandbox.wit.binary import DEFAULT_LIMIT, precheck, precheck_file
from sandbox.wit.types import Digest

SECTION = "sandbox-policy"
"""The custom section that a component carries its policy in, and how its lines are called."""

MAX_FOUND = 500
"""Components of one folder."""


@dataclass(frozen=True, slots=True)
class AskedText:
    """The policy that a component asks for, as it is written: what its lines are called by, the text, the file (or empty)."""

    file: str
    text: str = field(repr=False)
    path: str = ""
    unreadable: str = ""
    """Why the file cannot be taken for a policy (others may write it, …); then there is no text."""


@dataclass(frozen=True, slots=True)
class Source:
    """A component's bytes, the name that it goes by, where they came from, and the policy that they ask for."""

    name: str
    digest: Digest
    data: bytes = field(repr=False)
    origin: str
    asked: AskedText | None


async def read_source(word: Path | str, *, name: str | None = None, digest: str | None = None) -> Source:
    """The component that a file's path, a folder's with one component in it, or an https URL names.

    `digest` is the SHA-256 that its bytes must have, in place of the URL's `#sha256=`. Raises ComponentError.
    """
    if isinstance(word, str) and (scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", word)):
        if scheme[1].casefold() == "file":
            return await _of_file(Path(unquote(urlsplit(word).path)), name, digest)
        return await _of_url(word, name, digest)
    return await _of_file(Path(word), name, digest)


def components_in(folder: Path) -> tuple[Path, ...]:
    """The components of a folder: its own `.wasm` files, else those of the folders in it, sorted. Raises ComponentError."""
    try:
        found = _wasm_in(folder) or [file for inner in sorted(folder.iterdir()) if inner.is_dir() for file in _wasm_in(inner)]
    except OSError as error:
        raise ComponentError(f"`{folder}` cannot be read: {(error.strerror or 'unknown error').lower()}") from None
    if not found:
        raise ComponentError(f"there is no component in `{folder}`", help="name a folder with `.wasm` files in it, or a file")
    if len(found) > MAX_FOUND:
        raise ComponentError(f"`{folder}` has {len(found)} components, more than {MAX_FOUND}")
    return tuple(found)


def is_bare_name(word: str) -> bool:
    """Whether a word can name an installed component alone: it is no path, no URL, and no file is called so."""
    return "/" not in word and not Path(word).suffix and not Path(word).exists()


def asked_by(path: Path, section: bytes | None) -> AskedText | None:
    """The policy that the component at `path` asks for: what lies beside it, else its own section."""
    return _beside(path) or _within(section)


def name_of(origin: str) -> str:
    """The name that a component goes by where nobody gave one: its file's, without what no folder can be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(origin).stem).lstrip("-._")[:64] or "component"


def _wasm_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix == ".wasm" and file.is_file())


async def _of_file(path: Path, name: str | None, digest: str | None) -> Source:
    return await asyncio.to_thread(_read_file, path, name, digest)


def _read_file(path: Path, name: str | None, digest: str | None) -> Source:
    if "\0" in str(path):
        raise ComponentError("no file's path has a NUL in it")
    path = path.expanduser().absolute()
    if path.is_dir():
        found = components_in(path)
        if len(found) > 1:
            raise ComponentError(f"`{path}` has {_some(file.name for file in found)}", help="name one of them")
        (path,) = found
    binary = precheck_file(path)
    _refuse_other(binary.digest, digest, str(path))
    return Source(name or name_of(path.name), binary.digest, binary.data, str(path), asked_by(path, binary.policy))


async def _of_url(url: str, name: str | None, digest: str | None) -> Source:
    fragment = parsed(url).fragment.strip()
    wanted = digest or fragment
    if not wanted:
        raise ComponentError(
            f"`{shown(url)}` has no digest: what it serves tomorrow may be something else",
            help="write `https://…/NAME.wasm#sha256=DIGEST`, or `--digest sha256:DIGEST`",
        )
    expected = _plain(wanted)
    if fragment and _plain(fragment) != expected:
        raise ComponentError("the URL and `--digest` name two digests", help="give one of them")
    data = await fetch(url, limit=DEFAULT_LIMIT)
    # First of all: nothing reads what is not the file that was asked for.
    _refuse_other(Digest(hashlib.sha256(data).hexdigest()), expected, shown(url))
    binary = await asyncio.to_thread(precheck, data)
    name = name or name_of(unquote(urlsplit(url).path).rpartition("/")[2])
    return Source(name, binary.digest, data, shown(url), _within(binary.policy))


def _plain(digest: str) -> str:
    """64 hexadecimal digits, from `sha256:…`, `sha256=…` or the digits alone."""
    found = re.fullmatch(r"(?:sha256[:=])?([0-9a-fA-F]{64})", digest.strip())
    if found is None:
        raise ComponentError(f"`{digest[:80]}` is no digest", help="write `sha256:` and 64 hexadecimal digits")
    return found[1].lower()


def _refuse_other(found: Digest, wanted: str | None, where: str) -> None:
    if wanted is not None and found != _plain(wanted):
        raise ComponentError(
            f"`{where}` is another component than the one that was named: its SHA-256 is {found}",
            help="somebody changed it, or the digest is another version's",
        )


def _beside(path: Path) -> AskedText | None:
    """The policy file beside a component; one that others may write is named, and not read."""
    own = path.with_name(f"{path.stem}.policy.yaml")
    shared = path.with_name("policy.yaml")
    file = own if own.is_file() or len(_wasm_in(path.parent)) > 1 else shared
    if not file.is_file() and not file.is_symlink():
        return None
    try:
        return AskedText(file.name, read_policy_file(file).decode("utf-8", "surrogateescape"), str(file))
    except PolicyError as error:
        return AskedText(file.name, "", str(file), unreadable=str(error))


def _within(section: bytes | None) -> AskedText | None:
    return None if section is None else AskedText(SECTION, section.decode("utf-8", "surrogateescape"))


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ", ".join(f"`{name}`" for name in found[:5]) + more
