"""The stage of the attacks: one host for a file of them, as it would serve one client after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks.stage import Stage, staged


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A sandbox in a folder of its own, a neighbour loaded."""
    async with staged(tmp_path_factory.mktemp("attacks")) as stage:
        yield stage
