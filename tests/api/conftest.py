"""A host with a home of its own, real guests in real workers, and what its record says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox, api
from sandbox.audit import records, verify
from sandbox.host.host import Host
from sandbox.host.settings import HostSettings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class KeptHost(Host):
    """One host for all tests here: a real one, whose start of a second each of them need not pay."""

    async def start(self) -> None:
        if self._state == "new":
            await super().start()

    async def close(self) -> None:
        """Not with the test."""

    async def end(self) -> None:
        await super().close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def kept_host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KeptHost]:
    host = KeptHost(HostSettings(cache_folder=tmp_path_factory.mktemp("cache"), spares=2))
    yield host
    await host.end()


@pytest.fixture(autouse=True)
def _one_host(kept_host: KeptHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "Host", lambda settings: kept_host)


@pytest_asyncio.fixture(loop_scope="package")
async def sandbox(home: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(home) as sandbox:
        yield sandbox
        assert verify(home / "audit").ok


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host's, beside the home."""
    folder = tmp_path / "srv"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha")
    return folder


def policy(tmp_path: Path, permissions: str = "{}", name: str = "policy.yaml") -> Path:
    """A policy file; `permissions` is its flow mapping."""
    file = tmp_path / name
    file.write_text(f'version: "2.0"\npermissions: {permissions}\n')
    return file


def reads(folder: Path, access: str = "read", mount: str | None = "/data") -> str:
    """The permissions that give a folder."""
    where = "" if mount is None else f", mount: {mount}"
    return f"{{storage: {{allow: [{{uri: 'fs://{folder}/**', access: [{access}]{where}}}]}}}}"


def recorded(home: Path, *events: str) -> list[dict[str, Any]]:
    """The records of these event types, in order."""
    return [record for record in records(home / "audit") if not events or record["event"] in events]


async def until(true: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def begun(sandbox: Sandbox) -> bool:
    """Whether a call is in its worker."""
    host = sandbox._host
    return host is not None and any(one.worker is not None for one in host._running.values())
