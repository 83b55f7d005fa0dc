"""What holds for the calls of one session: what holds for the component, and the grants that are bound to the session.

Decides nothing about a grant. A component without such grants costs a call nothing here; for a session that has some, what holds
is compiled at its first call and kept until something changes.

Rules: the keeper of a session is the process in which it lives; a session whose keeper is gone is over, since its name is never
given again. Only processes of this machine can be seen to be gone.
"""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cachetools import LRUCache

from sandbox.in_force.effective import Effective
from sandbox.policy.grants import Grant

MAX_KEPT = 64
"""Sessions of one component whose compiled state is kept; for the others it is compiled at each call."""

Grants = tuple[Grant, ...]


def _unbound(_: Grants) -> Effective:
    raise RuntimeError("no grant is bound to a session")


@dataclass(slots=True)
class Bound:
    """A component's grants by the session they are bound to. `make` compiles what holds with some of them, and never raises."""

    grants: Mapping[str, Grants] = field(default_factory=dict)
    make: Callable[[Grants], Effective] = _unbound
    _kept: LRUCache[str, Effective] = field(default_factory=lambda: LRUCache(MAX_KEPT))

    def of(self, session: str) -> Effective | None:
        """What holds for a session; None where no grant is bound to it."""
        if session not in self.grants:
            return None
        found = self._kept.get(session)
        if found is None:
            found = self._kept[session] = self.make(self.grants[session])
        return found

    def made(self) -> tuple[Effective, ...]:
        """What was compiled so far."""
        return tuple(self._kept.values())


def by_session(grants: Iterable[Grant]) -> tuple[Grants, dict[str, Grants]]:
    """The grants that hold for every call, and the others by their session."""
    free: list[Grant] = []
    bound: dict[str, Grants] = {}
    for grant in grants:
        if grant.session is None:
            free.append(grant)
        else:
            bound[grant.session] = (*bound.get(grant.session, ()), grant)
    return tuple(free), bound


def new_keeper() -> str:
    """A name of this process as one that keeps sessions, for one `Sandbox` in it."""
    pid = os.getpid()
    return f"{pid}@{_started(pid)}#{secrets.token_hex(4)}@{_machine()}"


def lives(keeper: str) -> bool:
    """Whether the process of a keeper still runs: the same one, not another that got its number.

    Of one on another machine, which shares the store with this one, nobody here can say that it is gone.
    """
    process, at, rest = keeper.partition("@")
    started, _, own = rest.partition("#")
    machine = own.partition("@")[2]
    if machine not in ("", _machine()):
        return True
    return bool(at) and process.isdecimal() and started != "" and started == _started(int(process))


@functools.cache
def _machine() -> str:
    """This machine, told from others: by its name and its id. Source: machine-id(5)."""
    with suppress(OSError):
        return _hashed(socket.gethostname(), Path("/etc/machine-id").read_text(encoding="ascii", errors="replace"))
    return _hashed(socket.gethostname())


def _hashed(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _started(pid: int) -> str:
    """When a process started, in ticks since the boot; empty where there is none. Source: proc(5), `/proc/PID/stat`, field 22."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name, which may hold anything, parentheses too.
    return told.rpartition(")")[2].split()[19]
