"""Open the store of counts that belongs to a place: beside the grants, so that whoever shares those shares these.

A server's client is loaded only where the place is one.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from sandbox.admission.spending.counting import UsageStore
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.config.state_url import StatePlace
from sandbox.state.home import Home
from sandbox.state.opening import password_of
from sandbox.state.usage.sqlite import SqliteUsage

FILE = "usage.sqlite"


def open_usage(place: StatePlace, home: Home, environ: Mapping[str, str]) -> UsageStore:
    """The counts of a home at a place; raises HostUnavailable where it cannot be used."""
    if place.kind == "memory":
        return MemoryCounts()
    if place.server is not None:
        link = importlib.import_module("sandbox.state.redis.link").Link(place.server, password_of(home, environ))
        counts: UsageStore = importlib.import_module("sandbox.state.usage.redis").RedisUsage(link)
        return counts
    return SqliteUsage(home.state / FILE if place.path is None else place.path.with_name(f"{place.path.name}-{FILE}"))
