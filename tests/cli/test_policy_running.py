"""`sandbox policy set` beside a running server: what it takes away stops the calls that hold it, what it adds holds at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.support.commands import sandbox
from tests.support.guests import guest
from tests.support.serving import Serving, call, lines

HEAD = 'version: "2.0"\npermissions:\n'


def serving(folder: Path, access: str) -> Serving:
    (folder / "data").mkdir()
    (folder / "data/a.txt").write_text("hello")
    text = f'  storage:\n    allow:\n      - uri: "fs://{folder}/data/**"\n        access: [{access}]\n        mount: /data\n'
    return Serving(folder, policy=HEAD + text)


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)
    return str(folder / name)


def refused(answer: dict[str, object]) -> bool:
    return bool(answer["result"].get("isError"))  # type: ignore[attr-defined]


def test_a_policy_holds_in_a_running_server_from_the_next_call_on(tmp_path: Path) -> None:
    server = serving(tmp_path, "read")
    more = write(tmp_path, "more.yaml", server.policy.replace("[read]", "[read, write, create]"))
    bad = write(tmp_path, "bad.yaml", HEAD + "  netwrok: {}\n")
    with lines(server) as client:
        client.handshake()
        client.write(call(1, "files__write", path="/data/b.txt", text="x"))
        assert refused(client.answer(1))
        told = json.loads(sandbox("policy", "set", "files", more, "--json", folder=tmp_path).stdout)
        assert [each["error"] for each in told["receipt"]["servers"]] == [None]
        client.write(call(2, "files__write", path="/data/b.txt", text="x"))
        assert not refused(client.answer(2))
        assert sandbox("policy", "set", "files", bad, folder=tmp_path).returncode == 3
        client.write(call(3, "files__write", path="/data/c.txt", text="x"))
        assert not refused(client.answer(3)), "the last good policy stays in force"
        assert sandbox("policy", "rollback", "files", folder=tmp_path).returncode == 0
        client.write(call(4, "files__write", path="/data/d.txt", text="x"))
        assert refused(client.answer(4))
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a.txt", "b.txt", "c.txt"]


def test_a_call_that_holds_what_a_policy_takes_away_is_stopped_and_named(tmp_path: Path) -> None:
    server = replace(serving(tmp_path, "read"), components=[guest("exhaust_sleep")])
    with lines(server) as client:
        client.handshake()
        client.write(call(1, "exhaust_sleep__sleep", milliseconds="25000"))
        until(lambda: "tool_invoke" in "".join(path.read_text() for path in (server.home / "audit").glob("*.jsonl")))
        told = json.loads(sandbox("policy", "set", "exhaust_sleep", "deny-all", "--json", folder=tmp_path).stdout)
        (stopped,) = [one for each in told["receipt"]["servers"] for one in each["stopped"]]
        assert stopped["tool"] == "exhaust_sleep__sleep"
        answer = client.answer(1)
        assert refused(answer)
        assert json.loads(answer["result"]["content"][0]["text"])["code"] == "revoked"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
