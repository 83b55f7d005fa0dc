"""`sandbox tool call` on a terminal asks who sits there; without a terminal it is an ordinary denial. A real terminal: a pty."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.changes.asking import Answer, Question
from sandbox.cli.asking import heard, said
from sandbox.cli.confirming import yes
from sandbox.wit.types import Digest
from tests.cli.test_serve import post
from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.support.serving import HANDSHAKE, program

SECONDS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all: the component is compiled once, and only the last test leaves a grant."""
    return tmp_path_factory.mktemp("asking")


def words(folder: Path, path: str = "/w/a.txt") -> list[str]:
    """A call of the component `files` that has somebody asked about everything below `w`."""
    (folder / "w").mkdir(exist_ok=True)
    (folder / "w/a.txt").write_text("alpha")
    policy = folder / "policy.yaml"
    text = f'{{storage: {{ask: [{{uri: "fs://{folder}/w/**", access: [read], mount: /w}}]}}}}'
    policy.write_text(f'version: "2.0"\npermissions: {text}\n')
    policy.chmod(0o600)
    return ["tool", "call", str(files_component()), "--policy", str(policy), "read", f"path={path}"]


def at_a_terminal(folder: Path, typed: str, before: str = "", called: Sequence[str] = ()) -> tuple[str, str, int]:
    """What the terminal showed, what came out, and the exit status; `typed` is the answer, `before` came before the question."""
    ours, theirs = pty.openpty()
    os.write(ours, before.encode())
    command = [program(), *(called or words(folder)), "--home", str(folder / "home")]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True)
    os.close(theirs)
    shown, answered, until = "", False, time.monotonic() + SECONDS
    try:
        while time.monotonic() < until:
            readable, _, _ = select.select([ours], [], [], 0.1)
            try:
                shown += os.read(ours, 4096).decode() if readable else ""
            except OSError:
                break  # the other end is closed
            if "no answer is a no" in shown and not answered:
                os.write(ours, typed.encode())
                answered = True
            if process.poll() is not None and not readable:
                break
        out, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        os.close(ours)
    return shown, out.decode(), process.returncode


def test_without_a_terminal_it_is_an_ordinary_denial(folder: Path) -> None:
    done = sandbox(*words(folder), folder=folder)
    assert done.returncode == 1
    assert "refused: filesystem_access_denied: read of `/w/a.txt` is not allowed: nobody could be asked" in done.stderr
    assert "sandbox permission grant files --from-denial d-" in done.stderr


@pytest.mark.parametrize("typed", ["\n", "perhaps\n"])
def test_whatever_is_no_answer_is_a_no(folder: Path, typed: str) -> None:
    shown, out, status = at_a_terminal(folder, typed)
    assert (out, status) == ("", 1)
    assert "a person was asked and did not allow it" in shown


def test_what_was_typed_before_the_question_is_no_answer(folder: Path) -> None:
    shown, out, status = at_a_terminal(folder, "n\n", before="o\no\n")
    assert (out, status) == ("", 1)
    assert "a person was asked and did not allow it" in shown


def test_a_yes_before_its_question_is_none_to_a_command_either(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()

    def answer() -> None:
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"n\n")

    with os.fdopen(os.dup(theirs), "w") as screen, os.fdopen(theirs) as keyboard, ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr("sys.stdin", keyboard)
        monkeypatch.setattr("sys.stderr", screen)
        os.write(ours, b"y\n")
        answered = thread.submit(answer)
        assert not yes("give more?")
        answered.result()
    os.close(ours)


def test_once_is_once_and_shows_the_path_of_the_host(folder: Path) -> None:
    shown, out, status = at_a_terminal(folder, "o\n")
    assert (out, status) == ('"alpha"\n', 0)
    assert "The component `files` wants to read:\r\n  /w/a.txt\r\n" in shown
    assert f"  which is {folder}/w/a.txt\r\n" in shown
    assert "[o]nce · [u]ntil revoked · [n]o (no answer is a no): " in shown
    assert json.loads(sandbox("permission", "list", "--json", folder=folder).stdout) == []


def shown_until(ours: int, word: str) -> str:
    """What a terminal shows, until a word stands there."""
    shown, until = "", time.monotonic() + SECONDS
    while word not in shown:
        readable, _, _ = select.select([ours], [], [], max(0.0, until - time.monotonic()))
        assert readable, shown
        shown += os.read(ours, 4096).decode()
    return shown


def test_a_server_asks_in_its_own_terminal_where_a_client_cannot_ask(folder: Path) -> None:
    """The clients declare no dialogue; a call waits meanwhile. Who calls through it from a terminal is such a client too."""
    _, _, component, *policy, _, _ = words(folder)
    ours, theirs = pty.openpty()
    command = [program(), "serve", component, *policy, "--home", str(folder / "home"), "--port", "0"]
    with (
        subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True) as process,
        ThreadPoolExecutor(1) as client,
    ):
        os.close(theirs)
        try:
            port = int(shown_until(ours, "/mcp").partition("serving at ")[2].split(":")[2].split("/")[0])
            for typed, text in (("n\n", "a person was asked and did not allow it"), ("o\n", "alpha")):
                answer = client.submit(read_over_http, port)
                shown = shown_until(ours, "no answer is a no")
                assert f"wants to read:\r\n  /w/a.txt\r\n  which is {folder}/w/a.txt\r\n" in shown
                assert not answer.done()
                os.write(ours, typed.encode())
                assert text in answer.result(SECONDS)
            called = client.submit(at_a_terminal, folder, "o\n", called=("tool", "call", "files__read", "path=/w/a.txt"))
            shown_until(ours, "no answer is a no")
            os.write(ours, b"o\n")
            beside, out, status = called.result(SECONDS)
            assert (out, status) == ('"alpha"\n', 0)
            assert "wants to read" not in beside
        finally:
            process.terminate()
            process.wait(SECONDS)
            os.close(ours)


def read_over_http(port: int) -> str:
    """What a client of its own session is answered that cannot ask anybody."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
    session = {"Mcp-Session-Id": post(port, hello)[1]["mcp-session-id"]}
    post(port, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
    asked = {"name": "files__read", "arguments": {"path": "/w/a.txt"}}
    return post(port, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": asked}, **session)[2].decode()


def test_until_revoked_holds_without_a_terminal_too(folder: Path) -> None:
    assert at_a_terminal(folder, "u\n")[1] == '"alpha"\n'
    (grant,) = json.loads(sandbox("permission", "list", "--json", folder=folder).stdout)
    assert (grant["lifetime"], grant["who"], grant["entry"]["access"]) == ("lasting", "terminal", ["read"])
    assert sandbox(*words(folder), folder=folder).stdout == '"alpha"\n'


def test_a_path_that_would_move_the_terminal_is_shown_escaped() -> None:
    choices = (Answer.ONCE, Answer.NO)
    question = Question("c", Digest("d" * 64), "c__t", "/w/\x1b[2Ja", "/srv/\u202eb", ("read",), "p:1:1", choices)
    shown = said(question)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "  /w/\\x1b[2Ja\n  which is /srv/\\u202eb\n" in shown
    assert heard("u\n", question) is Answer.NO, "it was not offered"
    assert heard("Once\n", question) is Answer.ONCE
