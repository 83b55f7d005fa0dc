"""PY-08: no path of a call leaves memory behind: returned, refused half-way, too large.

Measured by the allocator itself (`mallinfo2`), which all of Wasmtime's values come from: a count of bytes in use, not a process
size with its noise. The soak measures the process too.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.worker.values import ArgumentError, OutputTooLarge
from sandbox.wit.types import EnumOf, FlagsOf, ListOf, OptionOf, Primitive, Record, ResultOf, TupleOf, Variant, WitType
from tests.host.values.conftest import Echo

Guest = Callable[[WitType], Echo]
U8, U64, F64, STRING = (Primitive(name) for name in ("u8", "u64", "f64", "string"))
PERSON = Record((("name", STRING), ("age", OptionOf(U8)), ("tags", ListOf(STRING))))
SHAPE = Variant((("nothing", None), ("named", STRING), ("pair", TupleOf((F64, STRING)))))

CASES: list[tuple[WitType, Any, Any]] = [
    # A type, a value of it, and one that is refused as late as possible.
    (U64, "18446744073709551615", "x"),
    (STRING, "text " * 10, "\ud800"),
    (ListOf(U8), "AQID" * 20, [1, 2, 256]),
    (ListOf(F64), [1.5, "NaN"], [1.5, "x"]),
    (ListOf(STRING), ["a", "b"], ["a", "b", 1]),
    (TupleOf((STRING, U8)), ["a", 1], ["a", 256]),
    (PERSON, {"name": "a", "age": 1, "tags": ["x"]}, {"name": "a", "age": 1, "tags": ["x", 1]}),
    (ListOf(SHAPE), [{"tag": "pair", "val": [1.0, "x"]}], [{"tag": "named", "val": "a"}, {"tag": "pair", "val": [1.0, 2]}]),
    (EnumOf(("a", "b")), "b", "c"),
    (FlagsOf(("a", "b")), ["a", "b"], ["a", "a"]),
    (OptionOf(OptionOf(STRING)), {"some": "x"}, {"some": 1}),
    (ListOf(ResultOf(STRING, PERSON)), [{"ok": "x"}], [{"ok": "x"}, {"err": {"name": 1, "tags": []}}]),
]


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def in_use() -> int:
    """Bytes that the allocator has handed out and not got back."""
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(call: Callable[[], None], calls: int, measure: Callable[[], int] = in_use) -> float:
    """Bytes a call leaves behind, after a warm-up."""
    for _call in range(200):
        call()
    before = measure()
    for _call in range(calls):
        call()
    return (measure() - before) / calls


def _one(made: Echo, value: Any, raises: type[Exception] | None = None, output_bytes: int = 2**20) -> Callable[[], None]:
    def call() -> None:
        with contextlib.suppress(*([raises] if raises else [])):
            made.call({"x": value}, output_bytes)
            assert raises is None

    return call


@pytest.mark.parametrize(("wit", "value", "refused"), CASES, ids=lambda part: type(part).__name__)
def test_no_path_of_a_call_leaves_memory_behind(guest: Guest, wit: WitType, value: Any, refused: Any) -> None:
    made = guest(wit)
    assert growth(_one(made, value), 1500) < 1
    assert growth(_one(made, refused, ArgumentError), 1500) < 1
    assert growth(_one(made, value, OutputTooLarge, 0), 1500) < 1


def test_the_measure_sees_a_leak_of_a_few_bytes() -> None:
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    assert growth(lambda: malloc(8), 1500) >= 8


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("wit", "value", "refused"), CASES, ids=lambda part: type(part).__name__)
def test_a_hundred_thousand_calls_leave_the_process_as_it_was(guest: Guest, wit: WitType, value: Any, refused: Any) -> None:
    made = guest(wit)
    assert growth(_one(made, value), 100_000, resident) < 1
    assert growth(_one(made, refused, ArgumentError), 100_000, resident) < 1
