"""A component's documentation, made fit to be shown to a model.

Decides what of it is text: escape sequences, control, invisible, direction and tag characters go, length is capped, and wording
that talks to the model rather than about the tool is flagged (not removed: what a person reads in a review is what was there).
All of it stays untrusted, and descriptions say whose words they are.

Source: `package-docs`, a custom section: a version byte (0 or 1), then JSON, as `wasm-tools component wit DIR --wasm` writes it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sandbox.errors import ComponentError
from sandbox.wit.types import Export, World

TOOL_CHARACTERS = 1_000
PARAM_CHARACTERS = 200

READ_CHARACTERS = 20_000
"""Characters of a text that are looked at; what follows is dropped before anything is searched in it."""

VERSIONS = (0, 1)
"""Versions of `package-docs` that are read. Of another one nothing is known, so nothing is shown."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)|\x9b[0-?]*[ -/]*[@-~]?")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Letters and marks that show nothing: fillers, the blank Braille pattern, variation selectors (bytes can hide in a run of them).
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_STACKED = re.compile(r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{2})[\u0300-\u036f"
                      r"\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")  # fmt: skip

_SUSPICIOUS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "has a tag as prompts use them",
        re.compile(
            r"<\s*/?\s*\|?\s*(?:important|system|assistant|user|human|instructions?|secret|critical|prompt|im start|im end)\b"
        ),
    ),
    (
        "asks to disregard instructions",
        re.compile(
            r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|other|all|any|system|your)\b"
        ),
    ),
    (
        "asks to hide something from the user",
        re.compile(
            r"\b(?:do not|don't|dont|never|without)\b.{0,20}"
            r"\b(?:tell|mention|inform|notify|reveal|show|asking|telling)\b.{0,30}\buser\b"
        ),
    ),
    ("speaks of the system prompt", re.compile(r"\b(?:system|developer) (?:prompt|message)\b|\bnew instructions\b")),
    (
        "tells the model when to call tools",
        re.compile(
            r"\b(?:you must|always|first|before (?:using|calling|any|every|each)|instead of)\b.{0,40}\b(?:tools?|this function)\b"
        ),
    ),
    (
        "names credentials",
        re.compile(r"\bid rsa\b|\.ssh\b|\.env\b|\bapi[ _-]?keys?\b|\bpasswords?\b|\bprivate keys?\b|\bcredentials?\b"),
    ),
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text fit to be shown, and what is odd about the one it was made of."""

    text: str
    flags: tuple[str, ...] = ()


def clean(text: str, limit: int = TOOL_CHARACTERS) -> Cleaned:
    """A foreign text without what is not text, at most `limit` characters of it, with its flags."""
    read = text[:READ_CHARACTERS]
    plain = _plain(read)
    flags = list(suspicions(plain))
    if _hides(read):
        flags.insert(0, "has invisible or control characters")
    if len(plain) > limit or len(text) > READ_CHARACTERS:
        flags.append(f"is longer than {limit} characters")
        plain = plain[: limit - 1].rstrip() + "…"
    return Cleaned(plain, tuple(flags))


def suspicions(text: str) -> tuple[str, ...]:
    """What in a text talks to the model: `asks to disregard instructions`, …"""
    folded = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", text[:READ_CHARACTERS])).casefold()
    return tuple(what for what, pattern in _SUSPICIOUS if pattern.search(folded))


def mentions(text: str, tools: Iterable[str]) -> tuple[str, ...]:
    """The tools of other components that a text names: a description that speaks for another tool is flagged."""
    words = set(re.findall(r"[A-Za-z0-9_-]+", text[:READ_CHARACTERS].casefold()))
    return tuple(tool for tool in tools if tool.casefold() in words)


def _plain(text: str) -> str:
    spaced = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    visible = "".join(c for c in spaced if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE_CATEGORIES)
    stacked = _STACKED.sub(r"\1", _INVISIBLE.sub("", visible))
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in unicodedata.normalize("NFC", stacked).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _hides(text: str) -> bool:
    return _INVISIBLE.search(text) is not None or any(
        c not in "\n\r\t" and unicodedata.category(c) in _INVISIBLE_CATEGORIES
        for c in text
        if not c.isascii() or c < " " or c == "\x7f"
    )


@dataclass(frozen=True, slots=True)
class PackageDocs:
    """The documentation of a package as its section holds it: raw and untrusted."""

    worlds: dict[str, dict[str, Any]]
    interfaces: dict[str, dict[str, Any]]


def parse_package_docs(section: bytes) -> PackageDocs:
    """The documentation in a `package-docs` section; empty for a version not known. Raises `ComponentError` if it is damaged."""
    if not section or section[0] not in VERSIONS:
        return PackageDocs({}, {})
    try:
        body = json.loads(section[1:].decode())
    except (ValueError, RecursionError):
        raise ComponentError(
            "the component's `package-docs` section is no JSON", help="`wasm-tools strip --delete package-docs` removes it"
        ) from None
    return PackageDocs(_objects(body, "worlds"), _objects(body, "interfaces"))


def attach_docs(world: World, section: bytes | None) -> World:
    """The world with the documentation of its functions, by `wit_id`, and its own, by `""`. Raises `ComponentError`."""
    if section is None:
        return world
    docs = parse_package_docs(section)
    chosen = _world_of(world, docs)
    found = [("", _text(chosen))] + [(export.wit_id, _of(export, chosen, docs)) for export in world.exports]
    return replace(world, docs=tuple((name, text) for name, text in found if text))


def _world_of(world: World, docs: PackageDocs) -> dict[str, Any]:
    """The package's world that documents most of what the component exports; the section does not say which one it is."""
    names = {export.name for export in world.exports if export.interface is None}
    names |= {_local(export.interface) for export in world.exports if export.interface}

    def shared(candidate: dict[str, Any]) -> int:
        return len(names & (_objects(candidate, "func_exports").keys() | _objects(candidate, "interface_exports").keys()))

    ranked = sorted(docs.worlds.values(), key=shared, reverse=True)
    return ranked[0] if ranked and (shared(ranked[0]) or len(ranked) == 1) else {}


def _of(export: Export, world: dict[str, Any], docs: PackageDocs) -> str:
    if export.interface is None:
        return _text(_objects(world, "func_exports").get(export.name))
    local = _local(export.interface)
    for interface in (_objects(world, "interface_exports").get(local), docs.interfaces.get(local)):
        text = _text(_objects(interface, "funcs").get(export.name))
        if text:
            return text
    return ""


def _local(interface: str) -> str:
    return interface.partition("@")[0].rpartition("/")[2]


def _objects(body: Any, key: str) -> dict[str, dict[str, Any]]:
    inner = body.get(key) if isinstance(body, dict) else None
    return {name: value for name, value in inner.items() if isinstance(value, dict)} if isinstance(inner, dict) else {}


def _text(body: Any) -> str:
    text = body.get("docs") if isinstance(body, dict) else None
    return text[:READ_CHARACTERS] if isinstance(text, str) else ""
