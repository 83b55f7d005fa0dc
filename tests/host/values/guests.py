"""Real guests for any WIT type: `echo: func(x: T) -> T` as component text, by the canonical ABI.

A value arrives flattened into core parameters (or, above sixteen, in memory) and leaves in memory; pointers and lengths pass
through untouched, so the guest needs no code for strings and lists. `post-return` takes the memory back, so one instance can be
called for ever.

Source: component-model, design/mvp/CanonicalABI.md, "Flattening", "Storing".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

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
    Variant,
    WitType,
)

SIZES = {"bool": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8, "f32": 4, "f64": 8, "char": 4}
FLAT = {"s64": "i64", "u64": "i64", "f32": "f32", "f64": "f64"}
STORES = {1: "i32.store8", 2: "i32.store16", 4: "i32.store"}
RETURN_AREA = 16


def echo(wit: WitType, name: str = "echo") -> tuple[str, Export]:
    """The text of a component that exports one echo function, and that export."""
    return component([(name, wit)]), Export(None, name, (("x", wit),), wit)


def component(functions: list[tuple[str, WitType]]) -> str:
    """The text of a component with an echo function for each name and type."""
    types = _Types()
    lifted = [_lifted(name, types.name(wit), wit) for name, wit in functions]
    area = RETURN_AREA + max((size(wit) for _name, wit in functions), default=0)
    core = "\n".join(_core(name, wit) for name, wit in functions)
    return f"(component\n{_module(core, area)}\n  (core instance $i (instantiate $m))\n{types.text}\n" + "\n".join(lifted) + "\n)"


def _module(functions: str, heap: int) -> str:
    return f"""  (core module $m
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const {heap}))
    (func (export "realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (if (local.get $was) (then unreachable))
      (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                              (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (loop $grow
        (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
          (then (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br $grow))))
      (local.get $at))
    (func $reset (global.set $top (i32.const {heap})))
{functions})"""


def _core(name: str, wit: WitType) -> str:
    flat = flatten(wit)
    params = ["i32"] if len(flat) > 16 else flat
    result = flat[0] if len(flat) == 1 else "i32"
    head = f'    (func (export "{name}") (param {" ".join(params)}) (result {result})\n'
    after = f'    (func (export "{name}-after") (param {result}) (call $reset))'
    if len(flat) == 1 or len(flat) > 16:
        return f"{head}      (local.get 0))\n{after}"
    values = iter([(f"(local.get {index})", core) for index, core in enumerate(flat)])
    return f"{head}{''.join(_store(wit, RETURN_AREA, values))}      (i32.const {RETURN_AREA}))\n{after}"


def _lifted(name: str, spelling: str, wit: WitType) -> str:
    return f"""  (func ${name} (param "x" {spelling}) (result {spelling}) (canon lift (core func $i "{name}")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc")) (post-return (core func $i "{name}-after"))))
  (export "{name}" (func ${name}))"""


class _Types:
    """Type definitions, each exported under a name so that a function's type may use it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def name(self, wit: WitType | None) -> str:
        if isinstance(wit, Primitive):
            return wit.name
        spelling, index = self._spell(wit), len(self.lines)
        self.lines.append(f'  (type $d{index} {spelling}) (export $t{index} "t{index}" (type $d{index}))')
        return f"$t{index}"

    def _spell(self, wit: WitType | None) -> str:
        match wit:
            case ListOf():
                return f"(list {self.name(wit.element)})"
            case TupleOf():
                return f"(tuple {' '.join(self.name(element) for element in wit.elements)})"
            case Record():
                return "(record " + " ".join(f'(field "{name}" {self.name(field)})' for name, field in wit.fields) + ")"
            case Variant():
                return "(variant " + " ".join(f'(case "{name}"{self._payload(wit)})' for name, wit in wit.cases) + ")"
            case EnumOf():
                return "(enum " + " ".join(f'"{name}"' for name in wit.names) + ")"
            case FlagsOf():
                return "(flags " + " ".join(f'"{name}"' for name in wit.names) + ")"
            case OptionOf():
                return f"(option {self.name(wit.payload)})"
            case ResultOf():
                err = "" if wit.err is None else f" (error {self.name(wit.err)})"
                return f"(result{self._payload(wit.ok)}{err})"
        raise TypeError(wit)

    def _payload(self, wit: WitType | None) -> str:
        return "" if wit is None else f" {self.name(wit)}"


@dataclass(frozen=True)
class Layout:
    size: int
    align: int


def _up(at: int, align: int) -> int:
    return (at + align - 1) // align * align


def cases(wit: WitType) -> list[WitType | None] | None:
    """The payloads of what the ABI treats as a variant, else None."""
    match wit:
        case Variant():
            return [payload for _name, payload in wit.cases]
        case EnumOf():
            return [None] * len(wit.names)
        case OptionOf():
            return [None, wit.payload]
        case ResultOf():
            return [wit.ok, wit.err]
    return None


def parts(wit: WitType) -> list[WitType]:
    return [field for _name, field in wit.fields] if isinstance(wit, Record) else list(wit.elements)  # type: ignore[union-attr]


def discriminant(count: int) -> int:
    return 1 if count <= 256 else 2 if count <= 65536 else 4


@cache
def layout(wit: WitType) -> Layout:
    if isinstance(wit, Primitive):
        return Layout(8, 4) if wit.name == "string" else Layout(SIZES[wit.name], SIZES[wit.name])
    if isinstance(wit, ListOf):
        return Layout(8, 4)
    if isinstance(wit, FlagsOf):
        width = 1 if len(wit.names) <= 8 else 2 if len(wit.names) <= 16 else 4
        return Layout(width, width)
    payloads = cases(wit)
    if payloads is None:
        align, end = 1, 0
        for part in parts(wit):
            align, end = max(align, layout(part).align), _up(end, layout(part).align) + layout(part).size
        return Layout(_up(end, align), align)
    tag = discriminant(len(payloads))
    align = max([tag] + [layout(payload).align for payload in payloads if payload])
    return Layout(_up(_payload_offset(payloads) + max([size(payload) for payload in payloads if payload] or [0]), align), align)


def size(wit: WitType) -> int:
    return layout(wit).size


def _payload_offset(payloads: list[WitType | None]) -> int:
    return _up(discriminant(len(payloads)), max([1] + [layout(payload).align for payload in payloads if payload]))


@cache
def flatten(wit: WitType) -> list[str]:
    if isinstance(wit, Primitive):
        return ["i32", "i32"] if wit.name == "string" else [FLAT.get(wit.name, "i32")]
    if isinstance(wit, ListOf):
        return ["i32", "i32"]
    if isinstance(wit, FlagsOf):
        return ["i32"]
    payloads = cases(wit)
    if payloads is None:
        return [core for part in parts(wit) for core in flatten(part)]
    joined: list[str] = []
    for payload in payloads:
        for index, core in enumerate(flatten(payload) if payload else []):
            if index == len(joined):
                joined.append(core)
            elif joined[index] != core:
                joined[index] = "i32" if {joined[index], core} == {"i32", "f32"} else "i64"
    return ["i32", *joined]


def _coerce(value: str, have: str, want: str) -> str:
    match have, want:
        case "i32", "f32":
            return f"(f32.reinterpret_i32 {value})"
        case "i64", "i32":
            return f"(i32.wrap_i64 {value})"
        case "i64", "f32":
            return f"(f32.reinterpret_i32 (i32.wrap_i64 {value}))"
        case "i64", "f64":
            return f"(f64.reinterpret_i64 {value})"
    assert have == want
    return value


def _store(wit: WitType, at: int, values: Iterator[tuple[str, str]]) -> Iterator[str]:
    """The instructions that put a flattened value into memory at a constant address."""
    payloads = cases(wit)
    if payloads is not None:
        yield from _store_variant(wit, payloads, at, values)
    elif isinstance(wit, ListOf) or wit == Primitive("string"):
        yield f"      (i32.store (i32.const {at}) {next(values)[0]}) (i32.store (i32.const {at + 4}) {next(values)[0]})\n"
    elif isinstance(wit, Primitive) and wit.name in FLAT:
        yield f"      ({FLAT[wit.name]}.store (i32.const {at}) {next(values)[0]})\n"
    elif isinstance(wit, Primitive | FlagsOf):
        yield f"      ({STORES[size(wit)]} (i32.const {at}) {next(values)[0]})\n"
    else:
        offset = 0
        for part in parts(wit):
            offset = _up(offset, layout(part).align)
            yield from _store(part, at + offset, values)
            offset += size(part)


def _store_variant(wit: WitType, payloads: list[WitType | None], at: int, values: Iterator[tuple[str, str]]) -> Iterator[str]:
    joined = [next(values) for _core in flatten(wit)]
    tag = joined[0][0]
    yield f"      ({STORES[discriminant(len(payloads))]} (i32.const {at}) {tag})\n"
    for index, payload in enumerate(payloads):
        if payload is not None:
            wanted = zip(joined[1:], flatten(payload), strict=False)
            inner = iter([(_coerce(value, have, want), want) for (value, have), want in wanted])
            body = "".join(_store(payload, at + _payload_offset(payloads), inner))
            yield f"      (if (i32.eq {tag} (i32.const {index})) (then\n{body}      ))\n"
