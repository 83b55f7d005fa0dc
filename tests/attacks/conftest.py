"""The stage of every attack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.attacks.stage import Stage, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A sandbox in a folder of its own, a neighbour loaded."""
    async with staged(tmp_path) as stage:
        yield stage
