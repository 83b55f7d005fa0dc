"""What a call costs this process beside the host's own work: admission, two records, the look at the store.

1. `AuditLog.append` of the two records that a small call leaves, and of the same pair with a text in which there is something
   to look at twice (a percent sign, an assignment, a base64 run)
2. `Sandbox.call` minus `Host.invoke`, turn by turn, of a small component in a warm worker

    python -m benchmarks.record

Microseconds of this process's CPU, medians of rounds: time is not compared, since other work beside would count.
Fails above `MAX_APPEND_US` for a pair, or `MAX_CALL_US` for what `Sandbox.call` adds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sandbox.admission import Authorizer, CallRequest, Subject, digest_of, new_request_id
from sandbox.api import Sandbox
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.host.outcome import Ending
from tests.support.guests import guest

ROUNDS, PAIRS, CALLS = 21, 200, 100
MAX_APPEND_US, MAX_CALL_US = 250.0, 500.0

PLAIN = {"path": "/data/a.txt", "lines": 20}
TELLING = {"path": "/data/100%25/a.txt", "query": "mode=fast digest=d41d8cd98f00b204e9800998ecf8427e"}


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two records of one call, as `sandbox.dispatch` tells them."""

    invoke: Event
    success: Event

    @classmethod
    def of(cls, arguments: Mapping[str, object]) -> _Pair:
        digest, audit_id = digest_of(b"component"), new_request_id()
        who = {"subject": "local", "session": "stdio-1", "component": "files", "digest": digest, "tool": "files__read"}
        ids = {"audit_id": audit_id, "arguments_digest": digest_of(b"arguments"), "generation": digest}
        reason = "the permissive document allows every call of a loaded tool"
        told = {"arguments": arguments, "rules": ("permissive",), "reason": reason, "decision": "allow"}
        usage = {"wall_ms": 0.51, "cpu_ms": 0.3, "peak_memory_bytes": 131_072, "output_bytes": 8, "requests": 0, "fuel": None}
        ended = {"ending": "returned", "usage": usage, "duration_ms": 0.71234}
        return cls(Event(EventType.TOOL_INVOKE, **ids, **who, **told), Event(EventType.TOOL_SUCCESS, **ids, **who, **ended))  # type: ignore[arg-type] # each by its name


def appended(folder: Path, arguments: Mapping[str, object]) -> float:
    """Microseconds of a pair of appends."""
    log, redactor = AuditLog(folder, clock=time.time, source="benchmark"), Redactor([("SERVICE_TOKEN", "a value to look for")])
    took = []
    for _ in range(ROUNDS):
        pairs = [_Pair.of(arguments) for _ in range(PAIRS)]
        begun = time.process_time()
        for pair in pairs:
            log.append(pair.invoke, redactor)
            log.append(pair.success, redactor)
        took.append((time.process_time() - begun) / PAIRS * 1e6)
    log.close()
    return statistics.median(took)


async def _batch(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - begun) / CALLS * 1e6


async def called(home: Path) -> dict[str, float]:
    """Medians of the whole call and of the host's part, and of their difference, in microseconds."""
    async with Sandbox(home, source="benchmark") as sandbox:
        await sandbox.load(guest("every_type"))
        loaded, tool = sandbox._components.find("every_type__echo-u32") or _missing()
        host, template = sandbox._running_host(), loaded.effective.template

        async def whole() -> None:
            assert (await sandbox.call(tool.name, {"x": 5})).outcome.ok

        async def invoked() -> None:
            request = CallRequest(
                new_request_id(), Subject.local(), tool.name, loaded.name, loaded.digest, "", template.generation
            )
            admission = Authorizer().admit(request, now=0.0).admission
            assert admission is not None
            outcome = await host.invoke(admission, template, tool.export, {"x": 5}, call_id=request.request_id)
            assert outcome.ending is Ending.RETURNED

        rounds = [(await _batch(whole), await _batch(invoked)) for _ in range(ROUNDS)][1:]
    middle = {"call": statistics.median(one for one, _ in rounds), "invoke": statistics.median(one for _, one in rounds)}
    return middle | {"added": statistics.median(one - other for one, other in rounds)}


def _missing() -> NoReturn:
    raise SystemExit("the component lacks `echo-u32`")


def main() -> int:
    """Measure and print one JSON document."""
    with tempfile.TemporaryDirectory() as folder:
        pair = {"plain": appended(Path(folder) / "1", PLAIN), "telling": appended(Path(folder) / "2", TELLING)}
        call = asyncio.run(called(Path(folder) / "home"))
    report = {"pair_of_appends_us": pair, "call_us": call}
    print(json.dumps({name: {key: round(value, 1) for key, value in part.items()} for name, part in report.items()}, indent=2))
    return int(pair["plain"] > MAX_APPEND_US or call["added"] > MAX_CALL_US)


if __name__ == "__main__":
    sys.exit(main())
