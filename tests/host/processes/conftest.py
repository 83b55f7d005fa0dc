"""One cache for all tests of a run, one host for each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.host.host import Host
from sandbox.host.settings import HostSettings
from tests.host.processes.driver import OTHERS, Caller, children


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compile cache that the tests share, so that each guest is compiled once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_processes() -> None:
    """From here on what is started is the test's own."""
    OTHERS.clear()
    OTHERS.update(children(os.getpid()))


@pytest.fixture
def settings(shared_cache: Path) -> HostSettings:
    """Few processes; a breaker that does not get in the way."""
    return HostSettings(shared_cache, max_workers=4, spares=1, crashes=1_000)


@pytest.fixture
async def start(settings: HostSettings) -> AsyncIterator[Any]:
    """Start a host with other settings; closed after the test."""
    started: list[Host] = []

    async def make(**changes: Any) -> Caller:
        host = Host(replace(settings, **changes))
        started.append(host)
        await host.start()
        return Caller(host)

    yield make
    for host in started:
        await host.close()


@pytest.fixture
async def call(start: Any) -> Caller:
    """A host with the usual settings."""
    return await start()
