"""What a guest could learn about the machine that runs it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from sandbox.host.outcome import Ending
from sandbox.result import CallResult
from tests.attacks.stage import CANARY, Stage, children, policy, staged, value

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was started with secrets in its environment."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("FOO", "from the host")
    monkeypatch.setenv("FOO_ADMIN", CANARY)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")


@pytest.mark.usefixtures("rich")
async def test_only_the_named_variables_are_there(stage: Stage) -> None:
    """ENV-01: no argument, no folder, no standard input, and of the variables those that the policy names."""

    def check(result: CallResult) -> None:
        found = value(result)
        assert dict(found["variables"]) == {"FOO": "from the host", "MODE": "test"}
        assert found["arguments"] == []
        assert found.get("cwd") is None
        assert found["stdin"] == ""

    environment = """key: "FOO*"
                     key: MODE, value: test
                     deny key: FOO_ADMIN"""
    await stage.load("escape_environment", policy(environment=environment))
    await stage.contained("escape_environment__look", check)


def environment_of(pid: int) -> bytes:
    """A process's variables as the kernel keeps them; one that ended meanwhile has none."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


@pytest.mark.usefixtures("rich")
async def test_no_process_below_the_server_holds_its_environment(tmp_path: Path) -> None:
    """ENV-01: a guest that broke out of the engine would find nothing in /proc/self/environ either."""
    async with staged(tmp_path) as stage:
        await stage.neighbour_is_well()
        below = children(os.getpid())
        assert below
        assert not [pid for pid in below if CANARY.encode() in environment_of(pid)]


@pytest.mark.parametrize("function", ["unreachable", "out-of-bounds", "recurse", "bad-string"])
async def test_a_trap_tells_the_client_nothing_about_the_host(stage: Stage, function: str) -> None:
    """ENV-03: no path of the host, no process id, no backtrace."""
    arguments = {"depth": 10_000_000} if function == "recurse" else {}

    def check(result: CallResult) -> None:
        assert result.outcome.ending is Ending.TRAPPED
        told = str(result.body) + result.outcome.message
        assert str(stage.folder) not in told
        assert "/work" not in told
        assert str(os.getpid()) not in told
        assert "wasm backtrace" not in told
        assert "\n" not in result.outcome.message

    await stage.contained(f"traps__{function}", check, repeats=6, **arguments)


async def test_a_refused_path_is_told_as_the_guest_said_it(stage: Stage, tmp_path: Path) -> None:
    """ENV-03: the folder behind a mount is the operator's to know."""
    (tmp_path / "behind").mkdir()

    def check(result: CallResult) -> None:
        assert result.outcome.denials
        assert str(tmp_path) not in str(result.body)
        assert str(tmp_path) not in str(result.outcome.value)
        assert {denial.target["path"] for denial in result.outcome.denials} == {"/w/new"}

    rules = f'uri: "fs://{tmp_path}/behind/**", access: [read], mount: /w'
    await stage.load("exhaust_files", policy(rules))
    await stage.contained("exhaust_files__stretch", check, mount="/w", path="new", bytes="10")
