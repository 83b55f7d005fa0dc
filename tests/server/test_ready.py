"""`/ready` says whether calls can be made now, and why not; `/health` that there is somebody to ask."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.api import Sandbox
from sandbox.server.server import SandboxServer
from tests.support.http import Served, served
from tests.support.redis_server import redis_server
from tests.support.serving import SECONDS, program

pytestmark = pytest.mark.asyncio(loop_scope="module")
READY = (200, {"status": "ok"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("ready") / "home") as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(sandbox: Sandbox) -> AsyncIterator[Served]:
    async with served(sandbox) as front:
        yield front


async def ready(front: Served) -> tuple[int, object]:
    """What `/ready` says; `/health` is well all the while."""
    assert ((health := await front.ask("GET", "/health")).status, health.json()) == READY
    answer = await front.ask("GET", "/ready")
    return answer.status, answer.json()


async def test_a_server_that_loads_its_components_is_not_ready(sandbox: Sandbox) -> None:
    loaded = asyncio.Event()
    loading = asyncio.create_task(_until(loaded))
    async with served(sandbox, server=SandboxServer(sandbox, loading)) as front:
        assert await ready(front) == (503, {"status": "starting"})
        loaded.set()
        await loading
        assert await ready(front) == READY


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_server_that_another_command_stopped_is_not_ready_until_it_is_resumed(front: Served, sandbox: Sandbox) -> None:
    def command(*words: str) -> None:
        told = [program(), *words, "--home", str(sandbox.home)]
        subprocess.run(told, check=True, capture_output=True, timeout=SECONDS)

    await asyncio.to_thread(command, "stop", "--all")
    assert await ready(front) == (503, {"status": "stopped"})
    await asyncio.to_thread(command, "resume", "--all")
    assert await ready(front) == READY


async def test_a_server_whose_record_cannot_be_written_is_not_ready(front: Served, sandbox: Sandbox) -> None:
    record, away = sandbox.home / "audit", sandbox.home / "away"
    record.rename(away)
    assert await ready(front) == (503, {"status": "record"})
    away.rename(record)
    assert await ready(front) == READY


async def test_a_server_that_lost_its_state_is_not_ready_and_tells_its_figures_all_the_same(tmp_path: Path) -> None:
    with redis_server() as redis:
        async with Sandbox(tmp_path / "home", state=redis.url) as sandbox, served(sandbox) as front:
            assert await ready(front) == READY
            redis.kill()
            async with asyncio.timeout(SECONDS):
                while (said := await ready(front)) == READY:
                    await asyncio.sleep(0.05)
            assert said == (503, {"status": "state"})
            figures = await front.ask("GET", "/metrics")
            assert figures.status == 200
            assert b"\nsandbox_approvals_pending " not in figures.body
            redis.start()
