"""One call through the strict conversion against the binding's own, in one run: milliseconds each, and their ratio.

Rules: both call the same echo guest in a store of its own, alternating, and the medians are compared. JSON text is not
counted for the binding, which has none: the conversion's figure is from JSON text to JSON text.

    python -m benchmarks.values
"""

from __future__ import annotations

import base64
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record, Variant

from sandbox.host.engine import make_engine
from sandbox.host.worker.values import Codec
from sandbox.wit import types as w
from sandbox.wit.arguments import canonical, parse_arguments
from tests.host.values.guests import echo

STRING, U8, U32, F64 = (w.Primitive(name) for name in ("string", "u8", "u32", "f64"))
MIB = bytes(range(256)) * 4096


def record(**fields: Any) -> Record:
    """A record as the binding takes it."""
    made = Record()
    made.__dict__.update(fields)
    return made


PERSON = w.Record((("name", STRING), ("age", w.OptionOf(U8)), ("tags", w.ListOf(STRING))))
SHAPE = w.Variant((("nothing", None), ("named", STRING), ("label", STRING)))
PERSON_JSON = {"name": "a", "age": 1, "tags": ["x", "y"]}

CASES: list[tuple[str, w.WitType, Any, Any, int]] = [
    ("u32", U32, 7, 7, 400),
    ("string, 10 bytes", STRING, "0123456789", "0123456789", 400),
    ("string, 1 MiB", STRING, "x" * 2**20, "x" * 2**20, 20),
    ("record of three", PERSON, PERSON_JSON, record(**PERSON_JSON), 400),
    (
        "list of 100 records",
        w.ListOf(PERSON),
        [PERSON_JSON] * 100,
        [record(**PERSON_JSON) for _index in range(100)],
        20,
    ),
    ("variant", SHAPE, {"tag": "label", "val": "x"}, Variant("label", "x"), 400),
    ("list of 1,000 f64", w.ListOf(F64), [0.5] * 1000, [0.5] * 1000, 20),
    ("list<u8>, 1 KiB", w.ListOf(U8), base64.b64encode(MIB[:1024]).decode(), MIB[:1024], 40),
    ("list<u8>, 1 MiB", w.ListOf(U8), base64.b64encode(MIB).decode(), MIB, 3),
]


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def measure(engine: Engine, wit: w.WitType, value: Any, bare: Any, rounds: int) -> tuple[float, float]:
    """The medians of the conversion (from text to text) and of the binding."""
    text, export = echo(wit)
    store = Store(engine)
    func = Linker(engine).instantiate(store, Component(engine, text)).get_func(store, "echo")
    assert func is not None
    codec, arguments = Codec(export), canonical({"x": value})

    def ours() -> None:
        codec.call(store, func, parse_arguments(arguments), 2**24)

    ours()
    func(store, bare)
    pairs = [(timed(ours), timed(lambda: func(store, bare))) for _round in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def main() -> None:
    """Print one row for each type."""
    engine = make_engine()
    rows = []
    print(f"{'type':24}{'JSON, ms':>12}{'binding, ms':>14}{'ratio':>8}")
    for name, wit, value, bare, rounds in CASES:
        ours, theirs = measure(engine, wit, value, bare, rounds)
        rows.append({"type": name, "json_ms": ours, "binding_ms": theirs, "ratio": ours / theirs})
        print(f"{name:24}{ours:12.4f}{theirs:14.4f}{ours / theirs:8.3f}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
