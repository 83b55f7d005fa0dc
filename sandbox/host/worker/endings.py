"""What became of a call, from the exception that it ended in: an ending, one clean line, and the limit that was reached.

Decides nothing but words. The line holds no backtrace, no path, no name out of the guest's code: the engine's own few trap
kinds are known by their text, everything else is one sentence. The whole text goes to the debug log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wasmtime import ExitTrap, Trap, WasmtimeError

from sandbox.host.outcome import Ending
from sandbox.host.units import size, spell
from sandbox.host.worker.values import ArgumentError, OutputTooLarge
from sandbox.template.template import Limits

_TRAP_KINDS = {
    "call stack exhausted": "the call stack is exhausted",
    "out of bounds memory access": "memory was accessed out of bounds",
    "unaligned atomic": "memory was accessed unaligned",
    "undefined element: out of bounds table access": "a table was accessed out of bounds",
    "uninitialized element": "an indirect call went to an empty table entry",
    "indirect call type mismatch": "an indirect call had the wrong type",
    "integer overflow": "an integer overflowed",
    "integer divide by zero": "an integer was divided by zero",
    "invalid conversion to integer": "a float does not fit an integer",
    "handle limit exceeded": "it holds too many handles",
    "exceeds limit": "it asked for more at once than the host gives",
    "unreachable": "`unreachable` was executed",
    "cannot enter component instance": "the component was entered while it was running",
    "cannot leave component instance": "the component called out where it may not",
    "invalid char": "a character is no Unicode scalar value",
    "string pointer/length out of bounds": "a string reaches beyond the memory",
    "string content out-of-bounds": "a string reaches beyond the memory",
    "list pointer/length out of bounds": "a list reaches beyond the memory",
    "list content out-of-bounds": "a list reaches beyond the memory",
    "unaligned pointer": "a pointer is not aligned",
    "invalid utf-8": "a string is no UTF-8",
    "invalid discriminant": "a variant has no such case",
    "allocation too large": "an allocation is too large",
}
_TOO_MUCH_OUT = "too much data is being copied between the host and the guest"
_OUT_OF_FUEL = "all fuel consumed"
_MEMORY_AT_START = re.compile(
    r"memory minimum size of \d+ pages exceeds memory limits|exceeds memory limit|Cannot allocate memory|OutOfMemory"
)
_TABLE_AT_START = re.compile(
    r"table minimum size of \d+ elements exceeds table limits|resource limit exceeded: (?:instance|table|memory) count"
)

_NEARLY = 16
"""With less than a sixteenth of the limit left, memory is called nearly used up: a guest that fails to grow leaves a rest."""


@dataclass(frozen=True, slots=True)
class End:
    """An ending with its message, the limit's name where one was reached, and whether the worker may go on."""

    ending: Ending
    message: str = ""
    limit: str | None = None
    reusable: bool = False


def of_exception(error: BaseException, limits: Limits, peak_bytes: int) -> End:
    """The ending of a call that raised `error`, with `peak_bytes` of guest memory at its end."""
    match error:
        case ArgumentError():
            # The guest has not run: the worker is as it was.
            said = error.message if error.help is None else f"{error.message} ({error.help})"
            return End(Ending.INVALID_ARGUMENTS, said, reusable=True)
        case OutputTooLarge():
            return End(Ending.LIMIT, reached(limits, "output_bytes"), "output")
        case ExitTrap():
            return _memory_said(End(Ending.EXITED, f"the tool exited with status {error.code}"), limits, peak_bytes)
        case WasmtimeError() | Trap():
            return _of_trap(str(error), limits, peak_bytes)
        case MemoryError():
            return End(Ending.LIMIT, reached(limits, "memory_bytes"), "memory")
    return End(Ending.CRASHED, "the host failed while the tool ran")


def _of_trap(text: str, limits: Limits, peak_bytes: int) -> End:
    if _TOO_MUCH_OUT in text:
        # Arguments are far below what the engine copies at once, so it was the result.
        return End(Ending.LIMIT, reached(limits, "output_bytes"), "output")
    if _OUT_OF_FUEL in text and limits.fuel is not None:
        return End(Ending.LIMIT, reached(limits, "fuel"), "fuel")
    if _MEMORY_AT_START.search(text):
        return End(Ending.LIMIT, f"the tool needs more memory to start: {reached(limits, 'memory_bytes')}", "memory")
    if _TABLE_AT_START.search(text):
        return End(Ending.LIMIT, "the tool has more instances, tables or memories than the host allows one", "instances")
    return _memory_said(End(Ending.TRAPPED, f"the tool trapped: {_trap_kind(text)}"), limits, peak_bytes)


def _trap_kind(text: str) -> str:
    """The engine's kind of trap. Its own words stand after the backtrace, in which the guest's names are."""
    _, found, cause = text.rpartition("Caused by:")
    for words, said in _TRAP_KINDS.items():
        if words in (cause if found else text):
            return said
    return "the engine stopped it"


def _memory_said(end: End, limits: Limits, peak_bytes: int) -> End:
    """The ending with what memory had to do with it, where that can be told: a guest's failed growth is not reported."""
    hint = memory_hint(limits, peak_bytes)
    return End(Ending.LIMIT, f"{end.message}; {hint}", "memory") if hint else end


def memory_hint(limits: Limits, peak_bytes: int) -> str | None:
    """That the memory limit was nearly used up, or None where it was not."""
    if peak_bytes < limits.memory_bytes - limits.memory_bytes // _NEARLY:
        return None
    return f"the memory limit of {size(limits.memory_bytes)} was nearly used up ({limits.origin('memory_bytes')})"


def reached(limits: Limits, field: str) -> str:
    """The sentence about a limit that was reached: its name, its value, the policy line."""
    return spell(limits, field)
