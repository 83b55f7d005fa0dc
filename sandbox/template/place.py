"""Where a storage line points on this host: anchors and links resolved, mounts worked out.

Pure: what `~`, a variable, the data folder and a link stand for is handed in. Refuses what would reach further than the line
reads: a variable that holds a pattern or `..`, a link out of the data folder, a place in a tree of the kernel.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from sandbox.policy import globs, uris
from sandbox.policy.entries import StorageAllow, StorageAsk, StorageDeny, StorageEntry
from sandbox.policy.refusal import Refusal, quoted
from sandbox.template.template import Access, Effect, FileRule, Preopen

Kind = Literal["file", "folder", "absent"]
Names = tuple[str, ...]
Sizes = tuple[int | None, int | None]
_BITS = {"read": Access.READ, "write": Access.WRITE, "create": Access.CREATE, "delete": Access.DELETE}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the host a document's paths are relative to; `resolve` is realpath, `kind` looks at a path."""

    data_folder: str
    home: str
    environment: Mapping[str, str]
    protected: tuple[str, ...]
    resolve: Callable[[str], str]
    kind: Callable[[str], Kind] | None = None
    shared: tuple[str, ...] = ()
    """Folders and files that other components share."""


@dataclass(frozen=True, slots=True)
class Located:
    """One pattern of a storage line on this host: the real names before its first wildcard, the rest, and the guest's name."""

    effect: Effect
    access: Access
    origin: str
    names: Names
    rest: globs.Segments
    guest: str = ""
    shown: str = ""
    own: bool = False
    """Whether it lies in the component's own data folder."""
    links: tuple[str, ...] = field(default=())
    """Links that were followed to get here."""
    sizes: Sizes = (None, None)
    """The longest file and the most that it all may take; None where nobody wrote it."""
    granted: bool = False

    @property
    def pattern(self) -> globs.Segments:
        """The whole pattern as segments; real names are escaped, they may hold any character."""
        return (*(globs.escape(name) for name in self.names), *self.rest)

    @property
    def rule(self) -> FileRule:
        """The pattern as a rule of the template."""
        return FileRule(self.effect, "/" + "/".join(self.pattern), self.access, self.origin, *self.sizes, self.granted)

    def narrowed(self, pattern: globs.Segments, access: Access, sizes: Sizes) -> Located:
        """The same line with a narrower pattern; the guest's names go along."""
        names, rest = uris.static_prefix(pattern)
        guest = posixpath.join(self.guest, *names[len(self.names) :])
        return replace(self, names=names, rest=rest, access=access, guest=guest, sizes=sizes)


class MissingVariableError(Refusal):
    """A variable that the host has not: one problem, however many lines name it."""


def access_of(words: tuple[str, ...]) -> Access:
    """The words of a policy as one value."""
    found = Access.NONE
    for word in words:
        found |= _BITS[word]
    return found


def locate(entry: StorageAllow | StorageAsk | StorageDeny, around: Surroundings) -> tuple[Located, ...]:
    """The patterns that a line means on this host; raises `Refusal`."""
    uri = uris.parse_uri(entry.uri)
    base = _base(uri, entry.uri, around)
    if isinstance(entry, StorageDeny):
        return tuple(found for pattern in uri.expanded for found in _deny(entry, base, pattern, around))
    return tuple(_given(entry, uri, base, pattern, around) for pattern in uri.expanded)


def preopen(located: Located, around: Surroundings) -> Preopen:
    """The narrowest host folder that holds what the pattern can match; raises `Refusal`."""
    host, guest = "/" + "/".join(located.names), located.guest
    if _is_one_file(located, host, around):
        host, guest = posixpath.dirname(host), posixpath.dirname(guest)
    if host == "/":
        raise Refusal(f"{quoted(located.shown)} lies directly in `/`", "move the file into a folder, and grant that")
    if guest == "/":
        raise Refusal(
            f"{quoted(located.shown)} has no folder to be mounted at", "write `mount: /data` beside it, `/data/NAME` for one file"
        )
    return Preopen(host, guest, bool(located.access & ~Access.READ))


def text_of(names: Names) -> str:
    """Names as an absolute path."""
    return "/" + "/".join(names)


def _is_one_file(located: Located, host: str, around: Surroundings) -> bool:
    kind = around.kind(host) if around.kind is not None else None
    if not located.rest:
        return kind != "folder"
    return located.rest == (globs.DEEP,) and kind == "file"


def _base(uri: uris.StorageUri, shown: str, around: Surroundings) -> str:
    if uri.anchor is uris.Anchor.ROOT:
        return "/"
    if uri.anchor is uris.Anchor.DATA:
        return around.data_folder
    if uri.anchor is uris.Anchor.HOME:
        return _expansion("~", around.home, shown)
    value = around.environment.get(uri.variable or "")
    if value is None:
        told = f"set it where this is started: `{uri.variable}=/path sandbox …`; for a client: `sandbox install --env`"
        raise MissingVariableError(f"the host has no variable `{uri.variable}`, which the policy names", told)
    return _expansion(f"${{{uri.variable}}}", value, shown)


def _expansion(name: str, value: str, shown: str) -> str:
    names = value.split("/")
    wrong = (
        "is no absolute path"
        if not value.startswith("/") or value.startswith("//")
        else "has `..` in it"
        if {".", ".."} & set(names)
        else "has a character that a path of the host may not have here"
        if "\0" in value or any(char in value for char in "*?[]{}") or not value.isprintable()
        else None
    )
    if wrong is not None:
        raise Refusal(f"{quoted(shown)}: what `{name}` holds, {quoted(value)}, {wrong}", "it must be a plain absolute path")
    return value


def _given(entry: StorageEntry, uri: uris.StorageUri, base: str, pattern: globs.Segments, around: Surroundings) -> Located:
    prefix, rest = uris.static_prefix(pattern)
    written = posixpath.normpath(posixpath.join(base, *prefix))
    real = _names(around.resolve(written))
    own = uri.anchor is uris.Anchor.DATA
    uris.refuse_ungrantable(entry.uri, real)
    uris.refuse_ungrantable(entry.uri, _names(written))
    if own and not _inside(real, _names(around.resolve(base))):
        raise Refusal(f"{quoted(entry.uri)} is a link out of the component's data folder", "grant its absolute path")
    if not rest and not _inside(real, _names(around.resolve(posixpath.dirname(written)))):
        raise Refusal(
            f"{quoted(entry.uri)} is a link out of its folder", f"write where it leads: {quoted('fs://' + text_of(real))}"
        )
    guest = _guest(entry, prefix, written, plain=not rest, own=own)
    links = _links(base, prefix, around)
    effect = Effect.ASK if isinstance(entry, StorageAsk) else Effect.ALLOW
    found = Located(effect, access_of(entry.access), entry.origin, real, rest, guest, entry.uri, own, links, entry.sizes)
    return replace(found, granted=entry.granted)


def _guest(entry: StorageEntry, prefix: Names, written: str, *, plain: bool, own: bool) -> str:
    if entry.mount is None:
        return text_of(prefix) if own else written
    if plain and posixpath.basename(entry.mount) != posixpath.basename(written):
        name = posixpath.basename(written)
        raise Refusal(f"{quoted(entry.mount)} gives `{name}` another name", f"write `mount: {posixpath.join(entry.mount, name)}`")
    return entry.mount


def _deny(entry: StorageDeny, base: str, pattern: globs.Segments, around: Surroundings) -> tuple[Located, ...]:
    """Where the line leads, and the place of a link itself: neither the target nor the link may be touched."""
    prefix, rest = uris.static_prefix(pattern)
    written = posixpath.normpath(posixpath.join(base, *prefix))
    beside = posixpath.join(around.resolve(posixpath.dirname(written)), posixpath.basename(written))
    places = dict.fromkeys((_names(around.resolve(written)), _names(beside)))
    return tuple(Located(Effect.DENY, access_of(entry.access), entry.origin, names, rest, shown=entry.uri) for names in places)


def _links(base: str, prefix: Names, around: Surroundings) -> tuple[str, ...]:
    found, folder = [], around.resolve(base)
    for name in prefix:
        step = posixpath.join(folder, name)
        folder = around.resolve(step)
        if folder != step:
            found.append(step)
    return tuple(found)


def _names(path: str) -> Names:
    if not path.startswith("/"):
        raise RuntimeError(f"resolve gave `{path}`, which is not absolute")
    return tuple(name for name in path.split("/") if name)


def _inside(inner: Names, outer: Names) -> bool:
    return inner[: len(outer)] == outer
