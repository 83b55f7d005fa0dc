"""What a compiled component says it is: its imports and exports, by reflection alone; nothing is instantiated.

Decides which parts of the reflection are functions a caller can name. Toolchain hooks are kept here and hidden by
`sandbox.wit.tools`; what JSON cannot carry becomes `Unsupported` and is judged there too.

Rules: a component writes its types, so their expansion is bounded: a type that refers to another twice, thirty levels deep, is
a few hundred bytes of wasm and 2³⁰ nodes.
"""

from __future__ import annotations

from collections.abc import Iterator

from wasmtime import Engine
from wasmtime.component import Component
from wasmtime.component import _types as reflected

from sandbox.errors import ComponentError
from sandbox.wit.types import (
    EnumOf,
    Export,
    FlagsOf,
    ListOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Unsupported,
    Variant,
    WitType,
    World,
)

MAX_NODES = 2_000
"""Types, fields, cases and names of one function, everything inlined."""

MAX_DEPTH = 40
"""Levels of one type."""

MAX_FUNCTIONS = 1_000
"""Exported functions of one component."""

_PRIMITIVES: dict[type, WitType] = {
    reflected.Bool: Primitive("bool"),
    reflected.S8: Primitive("s8"),
    reflected.U8: Primitive("u8"),
    reflected.S16: Primitive("s16"),
    reflected.U16: Primitive("u16"),
    reflected.S32: Primitive("s32"),
    reflected.U32: Primitive("u32"),
    reflected.S64: Primitive("s64"),
    reflected.U64: Primitive("u64"),
    reflected.F32: Primitive("f32"),
    reflected.F64: Primitive("f64"),
    reflected.Char: Primitive("char"),
    reflected.String: Primitive("string"),
    reflected.ErrorContext: Unsupported("error-context"),
    reflected.OwnType: Unsupported("own<resource>"),
    reflected.BorrowType: Unsupported("borrow<resource>"),
    reflected.FutureType: Unsupported("future"),
    reflected.StreamType: Unsupported("stream"),
}


_Items = dict[str, reflected.ComponentExtern]


def describe(engine: Engine, component: Component) -> World:
    """The world of a component: ids of its imports in its order, and its exported functions. `docs` stay empty.

    Raises `ComponentError` where it exports more functions than the host lists.
    """
    world = component.type
    exports: list[Export] = []
    for export in _functions(engine, world.exports(engine), None):
        if len(exports) == MAX_FUNCTIONS:
            raise ComponentError(f"the component exports more than {MAX_FUNCTIONS} functions")
        exports.append(export)
    return World(imports=tuple(_needed(world.imports(engine))), exports=tuple(exports))


def _needed(imports: dict[str, reflected.ComponentExtern]) -> Iterator[str]:
    """The imports that somebody has to supply: a type that the component itself defines is none."""
    for name, item in imports.items():
        if not isinstance(item.ty, reflected.ValType):
            yield name


def _functions(engine: Engine, items: _Items, interface: str | None) -> Iterator[Export]:
    for name, item in items.items():
        kind = item.ty
        if isinstance(kind, reflected.FuncType):
            yield _export(interface, name, kind)
        elif isinstance(kind, reflected.ComponentInstanceType):
            if interface is None:
                yield from _functions(engine, kind.exports(engine), name)
            else:
                # WIT has no interface within an interface, so nothing could name its functions.
                yield Export(interface, name, (), Unsupported("an instance within an instance"))


def _export(interface: str | None, name: str, function: reflected.FuncType) -> Export:
    expansion = _Expansion()
    try:
        params = tuple((param, expansion.of(wit, 0)) for param, wit in function.params)
        result = None if function.result is None else expansion.of(function.result, 0)
    except _TooLarge as large:
        params, result = (), Unsupported(str(large))
    except TypeError:
        # The binding knows no such type (`map`, whatever comes next): so does JSON.
        params, result = (), Unsupported("a type that this host does not know")
    return Export(interface, name, params, result)


class _TooLarge(Exception):  # noqa: N818 - it never leaves this module
    """A function's types are larger than a schema may be."""


class _Expansion:
    """The types of one function with everything inlined, counted on the way."""

    def __init__(self) -> None:
        self._nodes = 0

    def of(self, wit: reflected.ValType, depth: int) -> WitType:
        """A reflected type as a value. Raises `_TooLarge`."""
        self._count(1)
        if depth > MAX_DEPTH:
            raise _TooLarge(f"a type of more than {MAX_DEPTH} levels")
        known = _PRIMITIVES.get(type(wit))
        return known if known is not None else self._compound(wit, depth + 1)

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _TooLarge(f"types of more than {MAX_NODES} parts")

    def _maybe(self, wit: reflected.ValType | None, depth: int) -> WitType | None:
        return None if wit is None else self.of(wit, depth)

    def _compound(self, wit: reflected.ValType, depth: int) -> WitType:
        match wit:
            case reflected.ListType():
                return ListOf(self.of(wit.element, depth))
            case reflected.TupleType():
                return TupleOf(tuple(self.of(element, depth) for element in wit.elements))
            case reflected.RecordType():
                return Record(tuple((name, self.of(field, depth)) for name, field in wit.fields))
            case reflected.VariantType():
                return Variant(tuple((name, self._maybe(payload, depth)) for name, payload in self._cases(wit)))
            case reflected.EnumType():
                return EnumOf(self._names(wit.names))
            case reflected.FlagsType():
                return FlagsOf(self._names(wit.names))
            case reflected.OptionType():
                return OptionOf(self.of(wit.payload, depth))
            case reflected.ResultType():
                return ResultOf(self._maybe(wit.ok, depth), self._maybe(wit.err, depth))
            case _:
                return Unsupported(type(wit).__name__)

    def _cases(self, wit: reflected.VariantType) -> list[tuple[str, reflected.ValType | None]]:
        self._count(len(wit.cases))
        return wit.cases

    def _names(self, names: list[str]) -> tuple[str, ...]:
        self._count(len(names))
        return tuple(names)
