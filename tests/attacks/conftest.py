"""The stage of the attacks: one host for a file of them, as it would serve one client after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.attacks.stage import Stage, staged
from tests.host.gateway import upstream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A sandbox in a folder of its own, a neighbour loaded."""
    async with staged(tmp_path_factory.mktemp("attacks")) as stage:
        yield stage


@pytest.fixture(scope="module")
def nameserver() -> Iterator[upstream.Nameserver]:
    """Names of the tests; all that are not in its zone do not exist."""
    server = upstream.Nameserver()
    yield server
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def online(tmp_path_factory: pytest.TempPathFactory, nameserver: upstream.Nameserver) -> AsyncIterator[Stage]:
    """A stage whose gateway asks the tests' nameserver."""
    async with staged(tmp_path_factory.mktemp("online"), nameserver=nameserver.address) as stage:
        yield stage
