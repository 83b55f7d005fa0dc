"""The socket of a running server: it answers its own user, and what is left behind does no harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox import control
from sandbox.control import ControlSocket, Status, notify_all, status_all
from sandbox.errors import HostUnavailable, NotFound
from sandbox.receipt import Held, ServerReceipt, StoppedCall

CALL = StoppedCall("ab" * 16, "files", "files__read", 3.25)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    # Longer than a socket's path may be: a home may lie that deep.
    folder = tmp_path / ("deep" * 30) / "run"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def holds(grant: str) -> Held:
    if grant == "g-unknown":
        raise NotFound("there is no grant")
    return Held(grant == "g-good", None if grant == "g-good" else "above the ceiling " * 100)


def server(run: Path, stopped: tuple[StoppedCall, ...] = (CALL,)) -> ControlSocket:
    async def sync(since: int) -> tuple[StoppedCall, ...]:
        return stopped if since < 7 else ()

    return ControlSocket(
        run, sync=sync, holds=holds, status=lambda: {"pid": os.getpid(), "components": ["files"], "generation": 7}
    )


def names(run: Path) -> list[str]:
    return [path.name for path in run.iterdir()]


def modes(run: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in run.iterdir()]


def python(script: str, run: Path) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [sys.executable, "-c", script, run]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])


async def say(run: Path, name: str, line: bytes) -> bytes:
    with control._folder(run) as folder:
        reader, writer = await asyncio.open_unix_connection(f"{folder}/{name}.sock")
    writer.write(line)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[]\n", b'{"do":"grant"}\n', b'{"do":"sync","since":"x"}\n', b"\xff\n", b'"sync"\n']
)
async def test_what_is_not_a_question_is_answered_with_an_error(run: Path, line: bytes) -> None:
    ear = server(run)
    await ear.start()
    assert json.loads(await say(run, ear.name, line)) == {"error": "not understood"}
    await ear.close()


async def test_a_line_without_end_ends_the_connection_not_the_server(run: Path) -> None:
    ear = server(run)
    await ear.start()
    try:
        answer = await say(run, ear.name, b"x" * (control.MAX_LINE * 3))
    except ConnectionError:
        answer = b""
    assert answer == b""
    assert await notify_all(run, since=0) == (ServerReceipt(ear.name, (CALL,)),)
    await ear.close()


async def test_another_user_gets_no_answer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = server(run)
    await ear.start()
    monkeypatch.setattr(control, "_same_user", lambda connection: False)
    try:
        answer = await say(run, ear.name, b'{"do":"sync"}\n')
    except ConnectionError:
        answer = b""
    assert answer == b""
    (receipt,) = await notify_all(run, since=0)
    assert receipt.error is not None
    await ear.close()


async def test_a_failing_sync_is_told(run: Path) -> None:
    async def sync(since: int) -> tuple[StoppedCall, ...]:
        raise HostUnavailable("the store is closed")

    ear = ControlSocket(run, sync=sync, holds=holds, status=dict)
    await ear.start()
    assert await notify_all(run, since=0) == (ServerReceipt(ear.name, error="the store is closed"),)
    assert await status_all(run) == ()
    await ear.close()


async def test_a_server_that_does_not_answer_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ANSWER_WITHIN_S", 0.05)
    with control._folder(run) as folder, socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{folder}/1-mute.sock")
        mute.listen(1)
        assert await notify_all(run, since=0) == (ServerReceipt("1-mute", error="no answer (TimeoutError)"),)


async def test_a_socket_left_behind_by_a_killed_server_is_removed(run: Path) -> None:
    script = """
import asyncio, sys
from pathlib import Path
from tests.api.test_control import server
async def main():
    await server(Path(sys.argv[1])).start()
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with python(script, run) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (receipt,) = await notify_all(run, since=0)
        assert receipt.stopped == (CALL,)
        process.send_signal(signal.SIGKILL)
    assert len(names(run)) == 1
    assert await notify_all(run, since=0) == ()
    assert names(run) == []


async def test_every_server_answers_and_the_own_one_is_left_out(run: Path) -> None:
    ears = [server(run), server(run, ())]
    for ear in ears:
        await ear.start()
    answers: dict[str, Any] = {answer.server: answer.stopped for answer in await notify_all(run, since=3)}
    assert answers == {ears[0].name: (CALL,), ears[1].name: ()}
    assert [answer.stopped for answer in await notify_all(run, since=7, besides=ears[1].name)] == [()]
    assert set(await status_all(run)) == {Status(ear.name, os.getpid(), ("files",), 7) for ear in ears}
    for ear in ears:
        await ear.close()
    assert names(run) == []


async def test_a_server_says_whether_a_grant_holds_there_and_why_not(run: Path) -> None:
    ear = server(run)
    await ear.start()
    (bad,) = await notify_all(run, since=0, grant="g-bad")
    assert bad.held.holds is False
    assert bad.held.why is not None
    assert len(bad.held.why) == control.MAX_WHY
    (good,) = await notify_all(run, since=0, grant="g-good")
    assert good.held == Held(True)
    (none,) = await notify_all(run, since=0)
    assert none.held == Held(), "nobody asked"
    (unknown,) = await notify_all(run, since=0, grant="g-unknown")
    assert unknown.error == "there is no grant"
    await ear.close()


async def test_the_socket_is_this_users_alone(run: Path) -> None:
    ear = server(run)
    await ear.start()
    assert modes(run) == [0o600]
    await ear.close()
