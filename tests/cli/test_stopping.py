"""`sandbox stop`, `resume` and `signal`, beside a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import sandbox
from tests.support.guests import guest
from tests.support.serving import Lines, Serving, call, lines

POLICY = 'version: "2.0"\npermissions: {resources: {limits: {wall_time: 60s}}}\n'
SLEEP = "exhaust_sleep__sleep"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Lines]]:
    """A running server, and the folder of its home."""
    folder = tmp_path_factory.mktemp("stopping")
    with lines(Serving(folder, [guest("exhaust_sleep")], POLICY)) as client:
        client.handshake()
        yield folder, client


def told(*words: str, folder: Path) -> Any:
    done = sandbox(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def until(said: Callable[[], Any]) -> Any:
    """What something says as soon as it says something."""
    ends = time.monotonic() + 20
    while not (found := said()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def running(folder: Path, state: str = "runs") -> list[dict[str, Any]]:
    return [one for one in told("signal", "list", folder=folder) if one["suspended"] is (state == "suspended")]


@pytest.mark.parametrize("words", [("stop",), ("resume",), ("stop", "--all", "--session", "s"), ("signal", "kill")])
def test_what_is_stopped_has_to_be_said(words: tuple[str, ...], tmp_path: Path) -> None:
    assert sandbox(*words, folder=tmp_path).returncode == 2


def test_a_call_that_does_not_run_gets_no_signal(served: tuple[Path, Lines]) -> None:
    folder, _ = served
    done = sandbox("signal", "kill", "nothing", folder=folder)
    assert (done.returncode, "no call `nothing` runs" in done.stderr) == (2, True)
    assert sandbox("resume", "--all", folder=folder).returncode == 2


def test_a_running_call_is_suspended_resumed_and_killed(served: tuple[Path, Lines]) -> None:
    """The server that runs it does that, and answers its client."""
    folder, client = served
    client.write(call(1, SLEEP, milliseconds="60000"))
    (found,) = until(lambda: running(folder))
    assert found["tool"] == SLEEP
    assert told("signal", "stop", found["call_id"], "--reason", "a look", folder=folder)["signal"] == "SIGSTOP"
    assert "suspended" in sandbox("signal", "list", folder=folder).stdout
    assert running(folder, "suspended")
    assert sandbox("signal", "cont", found["call_id"], folder=folder).stdout == f"resumed: {found['call_id']} ({SLEEP})\n"
    assert running(folder)
    told("signal", "kill", found["call_id"], "--reason", "enough", folder=folder)
    body = client.answer(1)["result"]
    assert body["isError"]
    assert "the call was killed: enough" in json.dumps(body)


def test_a_stop_ends_the_calls_of_a_server_and_refuses_more(served: tuple[Path, Lines]) -> None:
    folder, client = served
    client.write(call(2, SLEEP, milliseconds="60000"))
    until(lambda: running(folder))
    stopped = told("stop", "--all", "--reason", "an accident", folder=folder)
    assert [one["tool"] for server in stopped["servers"] for one in server["stopped"]] == [SLEEP]
    assert "an accident" in json.dumps(client.answer(2)["result"])
    refused = client.ask(3, "tools/call", {"name": SLEEP, "arguments": {"milliseconds": "1"}})
    assert "every call is stopped" in json.dumps(refused)
    alone = sandbox("tool", "call", str(guest("exhaust_sleep")), SLEEP, "milliseconds=1", folder=folder)
    assert "every call is stopped" in alone.stderr, "a process of its own refuses too"
    assert sandbox("resume", "--all", folder=folder).stdout.startswith("resumed: everything (stopped by ")
    assert not client.ask(4, "tools/call", {"name": SLEEP, "arguments": {"milliseconds": "1"}})["result"].get("isError")
