"""A host under test, called as dispatch calls it: real guests, real admissions, real processes."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.admission import Admission, Authorizer, CallRequest, RequestId, Subject
from sandbox.host.host import Component, Host
from sandbox.host.outcome import Outcome
from sandbox.template.template import Limits, WasiTemplate
from tests.support.guests import guest

_NUMBERS = itertools.count(1)

LINE = "policy.yaml:22:7"


def limits(**values: Any) -> Limits:
    """Limits that somebody wrote, all on the same line."""
    return Limits(**values, origins=tuple((name, LINE) for name in values))


def admit(component: Component) -> Admission:
    """The admission of one call."""
    request = CallRequest(RequestId(str(next(_NUMBERS))), Subject.local(), "tool", "component", component.digest)
    admission = Authorizer().admit(request, now=0.0).admission
    assert admission is not None
    return admission


class Caller:
    """Calls guests by name in one host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def __call__(
        self,
        source: str | bytes,
        function: str,
        /,
        *,
        limits: Limits | None = None,
        template: WasiTemplate | None = None,
        call_id: str | None = None,
        **arguments: Any,
    ) -> Outcome:
        """Load the guest and call it; argument names are written with `_` for `-`."""
        component = await self.host.load(guest(source) if isinstance(source, str) else source)
        export = next(one for one in component.world.exports if one.name == function)
        used = replace(template or WasiTemplate(), component=component.digest)
        if limits is not None:
            used = replace(used, limits=limits)
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.host.invoke(admit(component), used, export, named, call_id=call_id or f"call-{next(_NUMBERS)}")


def children(pid: int) -> list[int]:
    """The living and dead children of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += [int(word) for word in (task / "children").read_text().split()]
    return found


OTHERS: set[int] = set()
"""Processes that were there before the test: other tests' fixtures live longer than a test."""


def processes(module: str) -> list[int]:
    """The processes that this test started and that run `module`."""
    return [pid for pid in children(os.getpid()) if pid not in OTHERS and module in command(pid)]


def command(pid: int) -> str:
    """A process's command line, empty for a zombie and for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def workers() -> list[int]:
    """Every worker of every zygote, spares included."""
    return [worker for zygote in processes("sandbox.host.zygote") for worker in children(zygote)]


def zombies(pid: int) -> Iterator[int]:
    """Children of a process that nobody has reaped."""
    for child in children(pid):
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            yield child
