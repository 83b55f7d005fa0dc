"""Where a server runs, the terminal beside it uses that one: its tools, its policies, its record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.support.guests import guest
from tests.support.serving import Lines, Serving, lines, program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("running")
    (made / "data").mkdir()
    (made / "data" / "note.txt").write_text("hello")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Lines]:
    """A server with two components; one may read the folder."""
    policy = f'version: "2.0"\npermissions:\n  storage:\n    allow:\n      - uri: fs://{folder}/data/**\n        access: [read]\n'
    with lines(Serving(folder, components=[files_component(), guest("exhaust_sleep")], policy=policy)) as client:
        client.handshake()
        client.ask(1, "tools/list")
        yield client


def data(folder: Path, *words: str) -> Any:
    done = sandbox(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_without_a_server_and_without_a_component_there_is_no_tool(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    assert data(tmp_path, "tool", "list") == []
    done = sandbox("tool", "call", "read", "path=/x", folder=tmp_path)
    assert done.returncode == 2
    assert "there is no tool `read`" in done.stderr


def test_its_tools_are_listed_and_called_there(server: Lines, folder: Path) -> None:
    tools = {tool["name"]: tool for tool in data(folder, "tool", "list")}
    assert tools["files__read"]["server"].split("-")[0] == str(server.process.pid)
    called = data(folder, "tool", "call", "read", f"path={folder}/data/note.txt")
    assert (called["result"], called["server"]) == ("hello", tools["files__read"]["server"])
    (started, ended) = data(folder, "audit", "list", "--call", called["request_id"])
    assert (started["event"], ended["event"], started["source"]) == ("tool_invoke", "tool_success", "mcp")


def test_what_it_has_loaded_is_listed(server: Lines, folder: Path) -> None:
    listed = {one["name"]: one for one in data(folder, "component", "list")}
    assert listed.keys() == {"files", "exhaust_sleep"}
    assert (listed["files"]["installed"], len(listed["files"]["servers"])) == (False, 1)
    assert "files is not installed; it is loaded from" in sandbox("component", "list", folder=folder).stdout


def test_its_policies_hold(server: Lines, folder: Path) -> None:
    done = sandbox("tool", "call", "files__read", "path=/etc/hostname", folder=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: filesystem_access_denied: read of `/etc/hostname`")


@pytest.fixture(scope="module")
def narrow(folder: Path) -> str:
    """A ceiling that the policy fits under, with less memory than the server's."""
    allowed = f"  storage:\n    allow:\n      - uri: fs://{folder}/data/**\n        access: [read]\n"
    (folder / "narrow.yaml").write_text(f'version: "2.0"\npermissions:\n{allowed}  resources:\n    limits:\n      memory: 61Mi\n')
    return str(folder / "narrow.yaml")


def test_the_rules_that_hold_there_are_shown(server: Lines, folder: Path, narrow: str) -> None:
    view = data(folder, "policy", "get", "files")
    assert view["server"].split("-")[0] == str(server.process.pid)
    assert any("allow read on" in rule["line"] for rule in view["rules"])
    assert "61Mi" not in str(view["rules"])
    asked = data(folder, "policy", "get", "files", "--ceiling", narrow)
    assert asked["server"] is None
    assert "61Mi" in str(asked["rules"])


@pytest.mark.soak
def test_servers_that_differ_are_named(server: Lines, folder: Path, narrow: str) -> None:
    words = [program(), "run", str(files_component()), "--home", str(folder / "home"), "--ceiling", narrow]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        try:
            _until(lambda: "has other rules" in sandbox("policy", "get", "files", folder=folder).stderr)
            done = sandbox("policy", "get", "files", "--json", folder=folder)
            named = {json.loads(done.stdout)["server"].split("-")[0], done.stderr.partition("server ")[2].split("-")[0]}
            assert named == {str(server.process.pid), str(other.pid)}
        finally:
            assert other.stdin is not None
            other.stdin.close()
            other.wait(20)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope"], "there is no tool `nope`"),
        (["files__raed"], "did you mean `files__read`?"),
        (["files__read"], "path"),
        (["files__read", "paht=/x"], "did you mean `path`?"),
        (["files__read", f"path={'x' * (1 << 20)}"], "larger than"),
    ],
)
def test_what_it_would_refuse_is_refused_the_same(server: Lines, folder: Path, words: list[str], says: str) -> None:
    done = sandbox("tool", "call", *words, folder=folder)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_named_file_has_a_host_of_its_own(server: Lines, folder: Path) -> None:
    called = data(folder, "tool", "call", str(guest("every_type")), "--policy", "deny-all", "echo-bool", "x=true")
    assert (called["result"], called["server"]) == (True, None)


def test_who_stops_waiting_cancels_the_call(server: Lines, folder: Path) -> None:
    tool = "exhaust_sleep__sleep"
    words = [program(), "tool", "call", tool, "milliseconds=25000", "--home", str(folder / "home")]
    # As in a terminal, also where these tests were started in the background, which ignores the signal and hands that on.
    asking = subprocess.Popen(words, stdout=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    _until(lambda: any(event["tool"] == tool for event in data(folder, "audit", "list", "--event", "tool_invoke")))
    asking.send_signal(signal.SIGINT)
    assert asking.wait(20) in {130, -signal.SIGINT}
    _until(lambda: [e for e in data(folder, "audit", "list", "--event", "tool_failure") if e["tool"] == tool])
    (ended,) = [e for e in data(folder, "audit", "list", "--event", "tool_failure") if e["tool"] == tool]
    assert ended["ending"] == "cancelled"


def _until(holds: Any) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_server_that_was_killed_is_nobody_to_ask(tmp_path: Path) -> None:
    with lines(Serving(tmp_path)) as client:
        client.handshake()
        client.ask(1, "tools/list")
        assert data(tmp_path, "tool", "list")
        os.kill(client.process.pid, signal.SIGKILL)
        client.process.wait(10)
    assert data(tmp_path, "tool", "list") == []
