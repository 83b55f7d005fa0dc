"""Open the store of counts that belongs to a state: beside the grants, so that whoever shares those shares these.

Redis' client is loaded only where a URL names one.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from sandbox.admission.counting import UsageStore
from sandbox.admission.memory_counts import MemoryCounts
from sandbox.state.usage.sqlite import SqliteUsage

_NETWORKED = ("redis://", "rediss://", "unix://", "valkey://", "valkeys://")


def open_usage(state: str | None, folder: Path) -> UsageStore:
    """The counts of a state: of one that a URL names, else in `folder`. Raises HostUnavailable where it cannot be used."""
    if state == "memory":
        return MemoryCounts()
    if state is not None and state.startswith(_NETWORKED):
        store: UsageStore = importlib.import_module("sandbox.state.usage.redis").connect(state)
        return store
    return SqliteUsage(folder)
