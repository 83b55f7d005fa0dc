"""Storage uris: `fs://` and a path, taken apart and normalised without touching a disk.

    fs:///srv/data/**     absolute
    fs://cache/**         relative: in the component's own data folder
    fs://~/notes/*.md     in the home folder of who runs the host
    fs://${NAME}/**       below the absolute path that the host's environment variable holds

Rules: `.` and empty names fall away, `..` is refused everywhere (in a choice and in a set too), a percent sign is no escape,
and what a variable holds is taken literally (`template.compile` looks at it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from sandbox.policy import globs
from sandbox.policy.refusal import Refusal, quoted

SCHEME = "fs://"
UNGRANTABLE = ("/proc", "/sys", "/dev", "/run")
"""Trees of the kernel and of running services: no path in them is a file that a tool may be given (ATTACKS FS-11)."""

_VARIABLE_HELP = "a variable stands first and alone: `fs://${NAME}/…`"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


class Anchor(StrEnum):
    """What the path of a uri is relative to."""

    ROOT = "root"
    DATA = "data"
    HOME = "home"
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class StorageUri:
    """A parsed uri: `names` are the path's segments below the anchor, globs not yet expanded."""

    anchor: Anchor
    variable: str | None
    names: tuple[str, ...]

    @property
    def expanded(self) -> tuple[globs.Segments, ...]:
        """The segments of each pattern that the uri's braces stand for."""
        return tuple(_collapsed(tuple(pattern.split("/"))) if pattern else () for pattern in globs.expand("/".join(self.names)))


def parse_uri(text: str) -> StorageUri:
    """Read a storage uri; raises `Refusal`."""
    if not text.startswith(SCHEME):
        raise Refusal(f"{quoted(text)} is no storage uri", _scheme_help(text))
    _refuse_characters(text)
    anchor, variable, rest = _anchor(text, text.removeprefix(SCHEME))
    names = tuple(name for name in rest.split("/") if name not in {"", "."})
    uri = StorageUri(anchor, variable, names)
    for pattern in uri.expanded:
        _refuse_steps(text, pattern)
    return uri


def static_prefix(pattern: globs.Segments) -> tuple[tuple[str, ...], globs.Segments]:
    """The leading names without a wildcard, as they are on disk, and the rest of the pattern."""
    names: list[str] = []
    for segment in pattern:
        name = None if segment == globs.DEEP else globs.literal(segment)
        if name is None:
            break
        names.append(name)
    return tuple(names), pattern[len(names) :]


def refuse_ungrantable(shown: str, prefix: tuple[str, ...]) -> None:
    """Refuse a grant whose static prefix is `/` or lies in a tree of the kernel; `shown` is the text to quote."""
    if not prefix:
        raise Refusal(f"{quoted(shown)} begins at `/`, which holds the host's own files", "name the folder: `fs:///srv/data/**`")
    top = f"/{prefix[0]}"
    if top in UNGRANTABLE:
        raise Refusal(f"{quoted(shown)} lies in `{top}`, which is the kernel's or a service's", "grant ordinary files only")


def _anchor(text: str, rest: str) -> tuple[Anchor, str | None, str]:
    if rest.startswith("/"):
        return Anchor.ROOT, None, rest
    first, _, below = rest.partition("/")
    if first == "~":
        return Anchor.HOME, None, below
    if first.startswith("~"):
        raise Refusal(f"{quoted(text)} names another user's home", "write the absolute path: `fs:///home/name/…`")
    if first == "${roots}":
        raise Refusal(
            "`${roots}` is what a client says, and no folder that anybody accepted", "write the folder, or `${WORKSPACE}`"
        )
    variable = _VARIABLE.fullmatch(first)
    if variable is not None:
        return Anchor.VARIABLE, variable[1], below
    if "$" in first:
        raise Refusal(f"{quoted(text)} has a `$` inside", _VARIABLE_HELP)
    return Anchor.DATA, None, rest


def _refuse_characters(text: str) -> None:
    if "$" in text.removeprefix(SCHEME).partition("/")[2]:
        raise Refusal(f"{quoted(text)} has a `$` inside", _VARIABLE_HELP)
    if not text.isprintable():
        raise Refusal(f"{quoted(text)} has a control character", "write printable characters only")
    if "\\" in text:
        raise Refusal(f"{quoted(text)} has a backslash", "separate names by `/`; write `[*]` for the character `*` itself")
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        raise Refusal(f"{quoted(text)} is percent-encoded, and nothing here decodes it", "write the character itself")


def _refuse_steps(text: str, pattern: globs.Segments) -> None:
    for segment in pattern:
        if segment != globs.DEEP and globs.literal(segment) in {"", ".", ".."}:
            raise Refusal(f"{quoted(text)} has `..` or an empty name in it", "write the path that is meant, without steps up")


def _collapsed(pattern: globs.Segments) -> globs.Segments:
    return tuple(name for at, name in enumerate(pattern) if name != globs.DEEP or pattern[at - 1 : at] != (globs.DEEP,))


def _scheme_help(text: str) -> str:
    if text.startswith("file://"):
        return f"write {quoted(SCHEME + text.removeprefix('file://'))}"
    if "://" in text:
        return "storage is granted by `fs://`: `fs:///srv/data/**`"
    return f"write {quoted(SCHEME + text)}"
