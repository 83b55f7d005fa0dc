"""Write `passthrough.wat` and `tunnel.wat`: the components through which a gate reaches Wasmtime's own implementation of WASI.

    wasm-tools component wit DIR --json | python -m sandbox.host.gates.native.generate_passthrough > passthrough.wat
    wasm-tools component wit DIR --json | python -m sandbox.host.gates.native.generate_passthrough tunnel > tunnel.wat

`DIR` holds WASI's WIT of one version and a world that imports what `IMPORTED` names for it. No product code runs this: the text
is kept in the repository, and nothing in it comes from a component. They are two, since a store that touches no socket should
not pay for what only sockets need.

Python cannot call a native WASI function, but a component can. This one imports the native interfaces and exports each
function through a trampoline: lower, call, drop the borrows, lift. A `post-return` gives the memory back, so a store can
be called for ever. One export is its own: `gate-open` is `open-at` with numbers for flags and for the error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WASI = "0.2.12"
IMPORTED: dict[str, dict[str, tuple[str, ...]]] = {
    "passthrough": {
        "wasi:filesystem/types": ("",),
        "wasi:filesystem/preopens": ("",),
        "wasi:http/types": ("[method]outgoing-request.",),
        "wasi:http/outgoing-handler": ("",),
    },
    "tunnel": {
        "wasi:http/types": (
            "[constructor]fields",
            "[constructor]outgoing-request",
            "[constructor]request-options",
            "[method]outgoing-request.",
            "[method]request-options.set-",
            "[method]outgoing-body.write",
            "[static]outgoing-body.finish",
            "[method]future-incoming-response.",
            "[method]incoming-response.status",
            "[method]incoming-response.consume",
            "[method]incoming-body.stream",
            "[static]incoming-body.finish",
            "[method]future-trailers.subscribe",
        ),
        "wasi:http/outgoing-handler": ("",),
        "wasi:io/poll": ("[method]pollable.",),
        "wasi:io/streams": ("[method]input-stream.blocking-read",),
        "wasi:clocks/monotonic-clock": ("subscribe-duration",),
    },
}
"""Of each component the interfaces, and the beginnings of the names of the functions taken from them."""
LEFT_OUT = {
    "passthrough": ("[method]outgoing-request.body", "[method]outgoing-request.headers"),
    "tunnel": ("[method]outgoing-request.headers",),
}
COMMAND = "wasm-tools component wit DIR --json | python -m sandbox.host.gates.native.generate_passthrough"
HEADER = """;; Do not edit: `{command}` writes this.
;; DIR holds the WIT of WASI {version} and `world passthrough {{ {world} }}`.
"""
RESULTS = 1024  # where a lowered function writes what it returns
HEAP = 4096  # where strings and lists begin, and where `reset` puts the next one

MEMORY = f"""(core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const {HEAP}))
    (func (export "reset") (global.set $next (i32.const {HEAP})))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $end i32) (local $pages i32)
      (local.set $at (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (local.set $end (i32.add (local.get $at) (local.get $size)))
      (if (i32.lt_u (local.get $end) (local.get $at)) (then (unreachable)))
      (local.set $pages (i32.sub
        (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16))
        (memory.size)))
      (if (i32.gt_s (local.get $pages) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (unreachable)))))
      (global.set $next (local.get $end))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      (local.get $at)))
  (core instance $m (instantiate $memory))
  (alias core export $m "memory" (core memory $mem))
  (alias core export $m "realloc" (core func $realloc))
  (alias core export $m "reset" (core func $reset))"""

# The one function of our own: its arguments and its error are numbers, so that Python meets no strings.
GATES = {
    "gate-open": (
        (
            '(param "dir" (borrow {d})) (param "path" string) (param "open-flags" u32) (param "flags" u32)'
            " (result (result (own {d}) (error u32)))"
        ),
        "i32",
    ),
}
GATE_CODE = f"""
    (func (export "gate-open") (param $dir i32) (param $at i32) (param $size i32) (param $how i32) (param $flags i32)
      (result i32)
      ;; No path flag: a link is not followed.
      (call $descriptor-open-at (local.get $dir) (i32.const 0) (local.get $at) (local.get $size)
        (local.get $how) (local.get $flags) (i32.const {RESULTS}))
      (call $drop-descriptor (local.get $dir))
      ;; The error is a byte where the handle would be: the answer has room for a number.
      (if (i32.load8_u (i32.const {RESULTS}))
        (then (i32.store (i32.const {RESULTS + 4}) (i32.load8_u (i32.const {RESULTS + 4})))))
      (i32.const {RESULTS}))"""


def export_name(function: str) -> str:
    """The name under which a WASI function is exported: `[method]descriptor.open-at` → `descriptor-open-at`.

    `[constructor]fields` → `new-fields`.
    """
    made = function.replace("[constructor]", "new-")
    return made.removeprefix("[method]").removeprefix("[static]").replace(".", "-")


@dataclass
class Wit:
    """WASI's interfaces, as `wasm-tools component wit --json` tells them."""

    resolve: dict[str, Any]

    def interface(self, index: int) -> str:
        """The full name of an interface, without its version."""
        entry = self.resolve["interfaces"][index]
        package: str = self.resolve["packages"][entry["package"]]["name"].split("@")[0]
        return f"{package}/{entry['name']}"

    def find(self, name: str) -> int:
        """The index of the interface called `name`."""
        return next(i for i in range(len(self.resolve["interfaces"])) if self.interface(i) == name)

    def type(self, index: int) -> dict[str, Any]:
        """One type's definition."""
        found: dict[str, Any] = self.resolve["types"][index]
        return found

    def origin(self, index: int | str) -> int | str:
        """What a type is in the end, its aliases followed."""
        while isinstance(index, int) and isinstance(self.type(index)["kind"], dict) and "type" in self.type(index)["kind"]:
            index = self.type(index)["kind"]["type"]
        return index

    def used(self, index: int | str | None) -> Iterator[int]:
        """The types that a type is made of, innermost first, itself last."""
        if not isinstance(index, int):
            return
        for part in _parts(self.type(index)["kind"]):
            yield from self.used(part)
        yield index


def _parts(kind: Any) -> list[int | str | None]:
    if kind == "resource":
        return []
    (word, body), *_ = kind.items()
    match word:
        case "handle":
            return list(body.values())
        case "list" | "option" | "type":
            return [body]
        case "tuple":
            return list(body["types"])
        case "result":
            return [body["ok"], body["err"]]
        case "record":
            return [part["type"] for part in body["fields"]]
        case "variant":
            return [part["type"] for part in body["cases"]]
        case "enum" | "flags":
            return []
    raise ValueError(f"no rule for a type of kind `{word}`")


@dataclass
class Function:
    """One WASI function of the passthrough."""

    interface: int
    name: str
    params: list[tuple[str, int | str]]
    result: int | str | None


@dataclass
class Generator:
    """The text of one of the components, interface by interface."""

    wit: Wit
    component: str = "passthrough"
    functions: list[Function] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    outer: dict[int, str] = field(default_factory=dict)
    """The component's own name of each named type, by its index."""

    def collect(self) -> None:
        """Take the functions that `IMPORTED` asks for, in the order of the WIT."""
        for name, beginnings in IMPORTED[self.component].items():
            index = self.wit.find(name)
            for function, entry in self.wit.resolve["interfaces"][index]["functions"].items():
                if function.startswith(beginnings) and function not in LEFT_OUT[self.component]:
                    params = [(param["name"], param["type"]) for param in entry["params"]]
                    self.functions.append(Function(index, function, params, entry.get("result")))

    def needed(self) -> dict[int, list[int]]:
        """The named types that the functions use, by their interface, interfaces and types in the order of the WIT."""
        found: set[int] = set()
        for function in self.functions:
            for part in [kind for _, kind in function.params] + [function.result]:
                found |= {i for i in self.wit.used(part) if self.wit.type(i)["name"] is not None}
        for index in list(found):
            found |= {i for i in self.wit.used(index) if self.wit.type(i)["name"] is not None}
        by_interface: dict[int, list[int]] = {}
        for index in sorted(found):
            if isinstance(self.wit.origin(index), int):
                by_interface.setdefault(self.wit.type(index)["owner"]["interface"], []).append(index)
        for function in self.functions:
            by_interface.setdefault(function.interface, [])
        return dict(sorted(by_interface.items()))

    def spell(self, index: int | str, names: dict[int, str]) -> str:
        """A type as WAT writes it where `names` are the named types in reach."""
        index = index if isinstance(index, int) and index in names else self.wit.origin(index)
        if isinstance(index, str):
            return index
        if index in names:
            return names[index]
        return self.spell_kind(self.wit.type(index)["kind"], names)

    def spell_kind(self, kind: Any, names: dict[int, str]) -> str:
        """A type's definition as WAT writes it."""
        (word, body), *_ = kind.items()
        match word:
            case "handle":
                (how, of), *_ = body.items()
                return f"({how} {self.spell(of, names)})"
            case "list" | "option":
                return f"({word} {self.spell(body, names)})"
            case "tuple":
                return "(tuple " + " ".join(self.spell(part, names) for part in body["types"]) + ")"
            case "result":
                ok = "" if body["ok"] is None else " " + self.spell(body["ok"], names)
                err = "" if body["err"] is None else f" (error {self.spell(body['err'], names)})"
                return f"(result{ok}{err})"
            case "record":
                fields = (f'(field "{part["name"]}" {self.spell(part["type"], names)})' for part in body["fields"])
                return "(record " + " ".join(fields) + ")"
            case "variant":
                return "(variant " + " ".join(self._case(part, names) for part in body["cases"]) + ")"
            case "enum":
                return "(enum " + " ".join(f'"{part["name"]}"' for part in body["cases"]) + ")"
            case "flags":
                return "(flags " + " ".join(f'"{part["name"]}"' for part in body["flags"]) + ")"
        raise ValueError(f"no rule for a type of kind `{word}`")

    def _case(self, part: dict[str, Any], names: dict[int, str]) -> str:
        payload = "" if part["type"] is None else " " + self.spell(part["type"], names)
        return f'(case "{part["name"]}"{payload})'

    def import_interface(self, index: int, types: list[int]) -> None:
        """The import of one interface: the types that are needed of it, then the functions."""
        short = self.short(index)
        body: list[str] = []
        names: dict[int, str] = {}
        for i in types:
            self._import_type(i, names, body)
        own = [function for function in self.functions if function.interface == index]
        body += [f'(export "{function.name}" (func {self.signature(function, names)}))' for function in own]
        name = f"{self.wit.interface(index)}@{WASI}"
        self.lines.append(f'(import "{name}" (instance ${short}\n    ' + "\n    ".join(body) + "))")
        for i in types:
            entry = self.wit.type(i)
            self.outer[i] = f"${short}.{entry['name']}"
            self.lines.append(f'(alias export ${short} "{entry["name"]}" (type {self.outer[i]}))')

    def _import_type(self, index: int, names: dict[int, str], body: list[str]) -> None:
        entry = self.wit.type(index)
        name, kind = entry["name"], entry["kind"]
        names[index] = f"${name}"
        if kind == "resource":
            body.append(f'(export "{name}" (type ${name} (sub resource)))')
        elif "type" in kind and kind["type"] in names:  # an alias within the interface
            body.append(f'(export "{name}" (type ${name} (eq {names[kind["type"]]})))')
        elif "type" in kind:  # `use` of another interface
            body.append(f"(alias outer 1 {self.outer[kind['type']]} (type $outer-{name}))")
            body.append(f'(export "{name}" (type ${name} (eq $outer-{name})))')
        else:
            reach = {i: n for i, n in names.items() if i != index}
            body.append(f"(type $def-{name} {self.spell_kind(kind, reach)})")
            body.append(f'(export "{name}" (type ${name} (eq $def-{name})))')

    def short(self, index: int) -> str:
        """An interface's name in the text: `filesystem-types`."""
        return self.wit.interface(index).removeprefix("wasi:").replace("/", "-")

    def signature(self, function: Function, names: dict[int, str]) -> str:
        """A function's parameters and result."""
        params = [f'(param "{name}" {self.spell(kind, names)})' for name, kind in function.params]
        result = [] if function.result is None else [f"(result {self.spell(function.result, names)})"]
        return " ".join(params + result)

    def flat(self, index: int | str) -> list[str]:
        """The core types of a value (Canonical ABI, flattening)."""
        index = self.wit.origin(index)
        if isinstance(index, str):
            return {"string": ["i32", "i32"], "u64": ["i64"], "s64": ["i64"], "f32": ["f32"], "f64": ["f64"]}.get(index, ["i32"])
        kind = self.wit.type(index)["kind"]
        (word, body), *_ = kind.items()
        match word:
            case "handle" | "enum" | "flags":
                return ["i32"]
            case "list":
                return ["i32", "i32"]
            case "record" | "tuple":
                return [core for part in _parts(kind) if part is not None for core in self.flat(part)]
            case "option":
                return ["i32", *self.flat(body)]
        joined: list[str] = []
        for part in _parts(kind):
            for i, core in enumerate([] if part is None else self.flat(part)):
                if i == len(joined):
                    joined.append(core)
                elif joined[i] != core:
                    joined[i] = "i32" if {joined[i], core} == {"i32", "f32"} else "i64"
        return ["i32", *joined]

    def trampoline(self, function: Function) -> tuple[str, str, str]:
        """A function's core import, its trampoline and the core type of what that returns."""
        params = [core for _, kind in function.params for core in self.flat(kind)]
        if len(params) > 16:
            raise ValueError(f"`{function.name}` takes its parameters in memory: no rule for that")
        results = [] if function.result is None else self.flat(function.result)
        indirect = len(results) > 1
        name = export_name(function.name)
        lowered = f"(param {' '.join([*params, 'i32'] if indirect else params)})" + (
            f" (result {results[0]})" if results and not indirect else ""
        )
        given = " ".join(f"(local.get {i})" for i in range(len(params))) + (f" (i32.const {RESULTS})" if indirect else "")
        answer = "i32" if indirect else (results[0] if results else "")
        drops = " ".join(f"(call $drop-{of} (local.get {at}))" for at, of in self.borrows(function))
        last = f" (i32.const {RESULTS})" if indirect else ""
        body = f"(call ${name} {given}) {drops}{last}"
        typed = f"(param {' '.join(params)})" + (f" (result {answer})" if answer else "")
        return (
            f'(import "wasi" "{name}" (func ${name} {lowered}))',
            f'(func (export "{name}") {typed} {body})',
            answer,
        )

    def borrows(self, function: Function) -> list[tuple[int, str]]:
        """The core parameters that are borrows, each with its resource's name."""
        found, at = [], 0
        for _, kind in function.params:
            entry = self.wit.type(kind)["kind"] if isinstance(kind, int) else None
            if isinstance(entry, dict) and "handle" in entry and "borrow" in entry["handle"]:
                origin = self.wit.origin(entry["handle"]["borrow"])
                assert isinstance(origin, int)
                found.append((at, str(self.wit.type(origin)["name"])))
            at += len(self.flat(kind))
        return found

    def text(self) -> str:
        """The whole component."""
        self.collect()
        for index, types in self.needed().items():
            self.import_interface(index, types)
        self.lines.append(MEMORY)
        self.core()
        world = " ".join(f"import {name}@{WASI};" for name in IMPORTED[self.component])
        command = COMMAND if self.component == "passthrough" else f"{COMMAND} {self.component}"
        return HEADER.format(version=WASI, world=world, command=command) + "(component\n  " + "\n  ".join(self.lines) + ")\n"

    def core(self) -> None:
        """The lowered functions, the module of trampolines, the lifted exports."""
        options = "(memory $mem) (realloc $realloc)"
        imports, bodies, given, lifts = [], [], [], []
        dropped: dict[str, str] = {}
        for function in self.functions:
            name = export_name(function.name)
            imported, body, answer = self.trampoline(function)
            imports.append(imported)
            bodies += [body, _post(name, answer)]
            given.append(name)
            for _, resource in self.borrows(function):
                dropped[resource] = self.resource(resource)
            self.lines.append(
                f'(core func ${name} (canon lower (func ${self.short(function.interface)} "{function.name}") {options}))'
            )
            lifts.append(_lift(name, self.signature(function, self.outer)))
        for resource, outer in dropped.items():
            self.lines.append(f"(core func $drop-{resource} (canon resource.drop {outer}))")
            imports.append(f'(import "wasi" "drop-{resource}" (func $drop-{resource} (param i32)))')
            given.append(f"drop-{resource}")
        gates = GATES if self.component == "passthrough" else {}
        for name, (signature, answer) in gates.items():
            bodies.append(_post(name, answer or "i32"))
            lifts.append(_lift(name, signature.format(d=self.resource("descriptor"))))
        self.lines.append(
            "(core module $trampolines\n    "
            + "\n    ".join([*imports, '(import "wasi" "reset" (func $reset))', '(import "wasi" "memory" (memory 1))', *bodies])
            + (GATE_CODE if gates else "")
            + ")"
        )
        exports = [f'(export "{name}" (func ${name}))' for name in [*given, "reset"]] + ['(export "memory" (memory $mem))']
        self.lines.append(
            '(core instance $wasi (instantiate $trampolines (with "wasi" (instance\n    ' + "\n    ".join(exports) + "))))"
        )
        self.lines += lifts

    def resource(self, name: str) -> str:
        """The component's own name of a resource, as its own interface defines it."""
        return next(
            outer
            for i, outer in self.outer.items()
            if self.wit.type(i)["name"] == name and self.wit.type(i)["kind"] == "resource"
        )


def _post(name: str, answer: str) -> str:
    return f'(func (export "post-{name}") {f"(param {answer}) " if answer else ""}(call $reset))'


def _lift(name: str, signature: str) -> str:
    options = f'(memory $mem) (realloc $realloc) (post-return (core func $wasi "post-{name}"))'
    return f'(func (export "{name}") {signature}\n    (canon lift (core func $wasi "{name}") {options}))'


if __name__ == "__main__":
    sys.stdout.write(Generator(Wit(json.load(sys.stdin)), "".join(sys.argv[1:]) or "passthrough").text())
