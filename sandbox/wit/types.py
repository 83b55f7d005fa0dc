"""What a component says it is: its imports, its exports, and the WIT types they use.

Pure values, no wasm here: `sandbox.host.compiler` reads them out of a component, `sandbox.wit.schema` shows them as JSON
Schema, `sandbox.host.worker.values` moves JSON in and out of them. All of them are untrusted: a component wrote them.

Source: the Component Model's WIT value types (component-model, design/mvp/Explainer.md, "Type Definitions").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

Digest = NewType("Digest", str)
"""The SHA-256 of a component's bytes, 64 lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """`bool`, `s8` … `u64`, `f32`, `f64`, `char` or `string`."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """`list<element>`; `list<u8>` travels as base64."""

    element: WitType


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`tuple<…>`."""

    elements: tuple[WitType, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """`record { name: type, … }`."""

    fields: tuple[tuple[str, WitType], ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """`variant { name(type)?, … }`."""

    cases: tuple[tuple[str, WitType | None], ...]


@dataclass(frozen=True, slots=True)
class EnumOf:
    """`enum { name, … }`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlagsOf:
    """`flags { name, … }`."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OptionOf:
    """`option<payload>`."""

    payload: WitType


@dataclass(frozen=True, slots=True)
class ResultOf:
    """`result<ok?, err?>`."""

    ok: WitType | None
    err: WitType | None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A type that JSON cannot carry (a resource handle, future, stream, error-context), by its WIT spelling."""

    spelling: str


WitType = Primitive | ListOf | TupleOf | Record | Variant | EnumOf | FlagsOf | OptionOf | ResultOf | Unsupported


@dataclass(frozen=True, slots=True)
class Export:
    """One exported function: `interface` is its WIT id (`ns:pkg/name@1.0.0`), or None where the world exports it itself."""

    interface: str | None
    name: str
    params: tuple[tuple[str, WitType], ...]
    result: WitType | None

    @property
    def gives(self) -> WitType | None:
        """The type of what its caller gets: of a `result` the `ok`, since an `err` is a tool error. None for nothing."""
        return self.result.ok if isinstance(self.result, ResultOf) else self.result

    @property
    def wit_id(self) -> str:
        """The function's full name, `ns:pkg/interface@1.0.0#name`, or `name` alone."""
        return self.name if self.interface is None else f"{self.interface}#{self.name}"


@dataclass(frozen=True, slots=True)
class World:
    """A component's world: the ids of the interfaces it imports, and every function it exports, in the component's order."""

    imports: tuple[str, ...] = ()
    exports: tuple[Export, ...] = ()
    docs: tuple[tuple[str, str], ...] = ()
    """WIT documentation by `wit_id` (of a function) or `""` (of the world), as the component tells it: raw, untrusted."""
