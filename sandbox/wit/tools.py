"""A component's exports as tools: their names, what they say of themselves, and their schemas.

Decides which exports are tools: a toolchain's build hooks are hidden, what JSON cannot carry is left out with a note.

Rules of a name: `component__function`, of `[a-zA-Z0-9_-]`, at most 50 characters, the same in every run. A function of an
exported interface goes by its own name unless several share it, then each carries its interface's name (and its package's and
version, where that is not enough). A longer name is cut and ends in a hash of what it stands for. Two tools never share a name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.errors import ComponentError
from sandbox.wit.docs import PARAM_CHARACTERS, TOOL_CHARACTERS, clean, mentions, suspicions
from sandbox.wit.refusal import listed
from sandbox.wit.reserved import RESERVED, reserved
from sandbox.wit.schema import Schema, input_schema, output_schema
from sandbox.wit.types import (
    Digest,
    EnumOf,
    Export,
    FlagsOf,
    ListOf,
    OptionOf,
    Record,
    ResultOf,
    TupleOf,
    Unsupported,
    Variant,
    WitType,
    World,
)

__all__ = ["LONGEST", "MAX_TOOLS", "RESERVED", "Tool", "ToolNote", "notes_of", "prefix_of", "tools_of"]

LONGEST = 50
"""Characters of a name: with a host's `mcp__SERVER__` before it, 64 are still kept."""

LONGEST_PROPERTY = 64
"""Characters of a parameter, field or case that model APIs take as a property's name."""

MAX_TOOLS = 500
MAX_WEIGHT = 5_000
"""Parts of a schema, written out: a tuple of different types is written twice in its own (`prefixItems` and `items`)."""

MAX_SCHEMA = 64 * 2**10
"""Characters of one schema."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One export as a tool. `description` and `title` are the component's words, cleaned; `notes` say what is odd about them."""

    name: str
    export: Export
    title: str
    description: str
    input_schema: Schema
    output_schema: Schema | None
    wit_id: str
    component: str
    digest: Digest
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolNote:
    """An export that is no tool, and why."""

    wit_id: str
    message: str


@dataclass(frozen=True, slots=True)
class _Sorted:
    callable: list[Export] = field(default_factory=list)
    notes: list[ToolNote] = field(default_factory=list)


def tools_of(component_name: str, world: World, digest: Digest, *, others: Iterable[str] = ()) -> tuple[Tool, ...]:
    """The tools of a component, in the order of its exports; `others` are the tool names of other components.

    Raises `ComponentError` where two tools would share a name, or where there are more than the host lists.
    """
    exports = _sort(world).callable
    if len(exports) > MAX_TOOLS:
        raise ComponentError(f"the component has {len(exports)} functions, more than {MAX_TOOLS} tools")
    names = _names(component_name, exports)
    docs, foreign = dict(world.docs), tuple(others)
    return tuple(_tool(name, component_name, export, docs, digest, foreign) for name, export in zip(names, exports, strict=True))


def prefix_of(component_name: str) -> str:
    """What the names of a component's tools begin with; two components with one prefix could have one tool."""
    return _safe(component_name)


def notes_of(world: World) -> tuple[ToolNote, ...]:
    """The exports that are no tools, with the reason; build hooks are not worth a note."""
    return tuple(_sort(world).notes)


def _sort(world: World) -> _Sorted:
    found = _Sorted()
    for export in world.exports:
        if _is_hook(export):
            continue
        reason = _unfit(export)
        if reason is None:
            found.callable.append(export)
        else:
            found.notes.append(ToolNote(export.wit_id, reason))
    return found


HOOKS: dict[tuple[str | None, str], tuple[str, ...]] = {
    ("exports", "init"): ("app-name", "symbols"),
    (None, "init"): ("shim", "script"),
}
"""Build hooks by interface and name, with the parameters they begin with: componentize-py's, and the JavaScript toolchain's on
QuickJS. They are called while the component is built and mean nothing afterwards; a component's own `init` is a tool."""


def _is_hook(export: Export) -> bool:
    begins = HOOKS.get((export.interface, export.name))
    return begins is not None and tuple(name for name, _wit in export.params[: len(begins)]) == begins


def _unfit(export: Export) -> str | None:
    """Why an export can be no tool, or None."""
    if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]*", export.name):
        return "a method of a resource: only functions are tools" if export.name.startswith("[") else "its name is no WIT name"
    types = [wit for _name, wit in export.params] + ([] if export.result is None else [export.result])
    unsupported = [part.spelling for wit in types for part in _walk(wit) if isinstance(part, Unsupported)]
    if unsupported:
        return f"it uses {listed(dict.fromkeys(unsupported))}, which JSON cannot carry"
    long = [name for name in _words(export) if len(name) > LONGEST_PROPERTY]
    if long:
        return f"{listed(long[:3])} has more than {LONGEST_PROPERTY} characters"
    return _too_large(export, types)


def _too_large(export: Export, types: list[WitType]) -> str | None:
    if sum(_weight(wit) for wit in types) > MAX_WEIGHT:
        return f"its types have more than {MAX_WEIGHT} parts"
    if max(len(json.dumps(input_schema(export))), len(json.dumps(output_schema(export)))) > MAX_SCHEMA:
        return f"its schema has more than {MAX_SCHEMA} characters"
    return None


def _inner(wit: WitType) -> tuple[WitType, ...]:
    match wit:
        case ListOf():
            return (wit.element,)
        case TupleOf():
            return wit.elements
        case Record():
            return tuple(field for _name, field in wit.fields)
        case Variant():
            return tuple(payload for _name, payload in wit.cases if payload is not None)
        case OptionOf():
            return (wit.payload,)
        case ResultOf():
            return tuple(payload for payload in (wit.ok, wit.err) if payload is not None)
        case _:
            return ()


def _walk(wit: WitType) -> Iterator[WitType]:
    yield wit
    for inner in _inner(wit):
        yield from _walk(inner)


def _own_words(wit: WitType) -> tuple[str, ...]:
    match wit:
        case Record():
            return tuple(name for name, _field in wit.fields)
        case Variant():
            return tuple(name for name, _payload in wit.cases)
        case EnumOf() | FlagsOf():
            return wit.names
        case _:
            return ()


def _words(export: Export) -> Iterator[str]:
    """Every name that a component puts into a tool's schemas."""
    for name, wit in export.params:
        yield name
        yield from (word for part in _walk(wit) for word in _own_words(part))
    if export.result is not None:
        yield from (word for part in _walk(export.result) for word in _own_words(part))


def _weight(wit: WitType) -> int:
    inner = sum(_weight(part) for part in _inner(wit))
    return 1 + len(_own_words(wit)) + (2 * inner if isinstance(wit, TupleOf) else inner)


def _names(component_name: str, exports: list[Export]) -> list[str]:
    """A name for each export. Raises `ComponentError` where two come out the same."""
    shared = Counter(export.name for export in exports)
    prefix = _safe(component_name)
    qualifiers = [_qualifier(export, exports) if shared[export.name] > 1 else "" for export in exports]
    full = [
        "__".join(part for part in (prefix, qualifier, export.name) if part)
        for qualifier, export in zip(qualifiers, exports, strict=True)
    ]
    names = [_shortened(name, prefix, export) for name, export in zip(full, exports, strict=True)]
    taken = [name for name in names if reserved(name)]
    if taken:
        raise ComponentError(f"{listed(taken)} is the name of a tool of the host", help="give the component another `name`")
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twice:
        raise ComponentError(
            f"two functions would both be the tool {listed(twice)}", help="rename one of them in the component's world"
        )
    return names


def _qualifier(export: Export, exports: list[Export]) -> str:
    """The shortest of an interface's names that tells apart all functions that share theirs."""
    sharing = [other for other in exports if other.name == export.name]
    for level in range(3):
        if len({_interface(other, level) for other in sharing}) == len(sharing):
            return _interface(export, level)
    return _interface(export, 2)


def _interface(export: Export, level: int) -> str:
    """`api`, then `acme-demo-api`, then `acme-demo-api-1-2-0`; the world's own functions have none."""
    if export.interface is None:
        return ""
    unversioned, _at, version = export.interface.partition("@")
    spelled = (unversioned.rpartition("/")[2], unversioned, f"{unversioned}-{version}" if version else unversioned)[level]
    return _safe(spelled)


def _safe(text: str) -> str:
    """Only what a tool's name may hold, and no `__`, which separates."""
    return re.sub(r"_{2,}", "_", re.sub(r"[^a-zA-Z0-9_-]+", "-", text)).strip("-_") or "component"


def _shortened(name: str, prefix: str, export: Export) -> str:
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(f"{name}\0{export.wit_id}".encode()).hexdigest()[:8]
    head = prefix[:18].rstrip("-_")
    rest = name.removeprefix(f"{prefix}__")[: LONGEST - len(head) - len(digest) - 3].rstrip("-_")
    return f"{head}__{rest}-{digest}"


def _tool(name: str, component: str, export: Export, docs: dict[str, str], digest: Digest, others: tuple[str, ...]) -> Tool:
    title = clean(export.wit_id, PARAM_CHARACTERS)
    description, notes = _description(component, export, docs)
    words = " ".join(dict.fromkeys(_words(export)))
    notes += [f"a name in its schema {what}" for what in suspicions(words)]
    notes += [f"its description names the tool {other} of another component" for other in mentions(description, others)]
    return Tool(
        name=name,
        export=export,
        title=title.text,
        description=description,
        input_schema=input_schema(export),
        output_schema=output_schema(export),
        wit_id=export.wit_id,
        component=component,
        digest=digest,
        notes=tuple(notes),
    )


def _description(component: str, export: Export, docs: dict[str, str]) -> tuple[str, list[str]]:
    told = clean(docs.get(export.wit_id, ""), TOOL_CHARACTERS)
    where = f"`{clean(export.wit_id, PARAM_CHARACTERS).text}` of the component `{_safe(component)}`"
    if not told.text:
        return f"Calls {where}, which does not describe it.", []
    return f"{told.text}\n\n({where}, in its own words.)", [f"its description {what}" for what in told.flags]
