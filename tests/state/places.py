"""The places where a store may be kept, for tests that hold on each: in memory, in a file, on a real Redis."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.state import Home, Store, open_store, state_of
from sandbox.state.keyvalue import KeyValues
from sandbox.state.opening import open_key_values
from tests.support.redis_server import RedisServer

KINDS = ("memory", "sqlite", "redis")
SHARED = ("sqlite", "redis")
"""Those that outlast a process and that several share."""


@dataclass
class Place:
    """A place in `folder`. `open` is another process's hand on the store; in memory there is one process, and one hand."""

    kind: str
    folder: Path
    server: RedisServer | None = None
    opened: list[Store] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url if self.server is not None else self.kind

    @property
    def environ(self) -> Mapping[str, str]:
        """Where this user's key lies: one for all homes."""
        return {"XDG_CONFIG_HOME": str(self.folder / "config")}

    def open(self, home: str = "home") -> Store:
        if self.kind == "memory" and self.opened:
            return self.opened[0]
        # One file is of one home; a server may be of several.
        home = home if self.kind == "redis" else "home"
        store = open_store(state_of(self.url), Home.open(self.folder / home, self.environ), self.environ)
        self.opened.append(store)
        return store

    def open_values(self, home: str = "home") -> KeyValues:
        """Another hand on what components keep."""
        home = home if self.kind == "redis" else "home"
        return open_key_values(state_of(self.url), Home.open(self.folder / home, self.environ), self.environ)

    def close(self) -> None:
        for store in self.opened:
            store.close()


def forked(work: Callable[[], object]) -> int:
    """A process of its own that does `work` and ends; its id. What was open before is not to be used there."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)
