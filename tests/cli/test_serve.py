"""`sandbox serve` as a person and a supervisor meet it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import guest
from tests.support.serving import ENVELOPE, HANDSHAKE, program

SECONDS = 60
TOKEN = "a-token-of-the-environment"


def serve(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A server that does not start."""
    words = (program(), "serve", *words, "--home", str(home), "--port", "0")
    given = {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False, env=given)


@contextmanager
def running(home: Path, *words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server and its port."""
    command = [program(), "serve", *words, "--home", str(home), "--port", "0", "--json"]
    given = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        try:
            yield process, int(json.loads(process.stdout.readline())["url"].split(":")[2].split("/")[0])
        finally:
            if process.poll() is None:
                process.kill()


def post(port: int, body: Any, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    fields = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/mcp", json.dumps(body), fields)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_this_machine_a_token_is_needed(tmp_path: Path, host: str) -> None:
    done = serve(tmp_path / "home", "--host", host)
    assert done.returncode == 2
    assert "no token is asked for" in done.stderr
    assert "--token-file" in done.stderr


WRONG = [
    ("--token", TOKEN),
    ("--path", "mcp"),
    ("--path", "/health"),
    ("--allow-host", "a b"),
    ("--allow-origin", "app.example.com"),
    ("--allow-origin", "*"),
    ("--port", "65536"),
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words))
def test_a_wrong_option_is_wrong_usage(tmp_path: Path, words: tuple[str, str]) -> None:
    """A token on a command line is one: every user of the machine reads those."""
    command = [program(), "serve", "--home", str(tmp_path / "home"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2, done.stderr
    assert "help" in done.stderr


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [program(), "serve", "--home", str(tmp_path / "home"), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, "address already in use" in done.stderr) == (4, True)


def test_it_serves_beyond_this_machine_with_a_token_and_ends_at_once_with_clients_that_listen(tmp_path: Path) -> None:
    """The token is in a file of mode 600, made here; open streams of both eras do not hold the end up."""
    file = tmp_path / "token"
    words = (
        str(guest("traps")),
        "--policy",
        "deny-all",
        "--host",
        "0.0.0.0",
        "--token-file",
        str(file),
        "--disable-builtin-tools",
    )
    with running(tmp_path / "home", *words) as (process, port):
        token = {"Authorization": f"Bearer {file.read_text().strip()}"}
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HANDSHAKE}
        assert post(port, hello)[0] == 401
        status, headers, _ = post(port, hello, **token)
        assert status == 200
        assert file.stat().st_mode & 0o777 == 0o600
        session = {"Mcp-Session-Id": headers["mcp-session-id"], **token}
        post(port, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
        listed = post(port, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, **session)[2]
        assert b"traps__fine" in listed
        assert b"load_component" not in listed
        streams = [opened(port, "GET", session), opened(port, "POST", {**token, "MCP-Protocol-Version": "2026-07-28"})]
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        assert time.monotonic() - began < 30
        for stream in streams:
            stream.close()


def opened(port: int, method: str, headers: dict[str, str]) -> socket.socket:
    """A stream that has begun and has no end of its own."""
    params = {"notifications": {"toolsListChanged": True}, "_meta": ENVELOPE}
    listen = {"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": params}
    body = json.dumps(listen).encode() if method == "POST" else b""
    fields = {"Host": "127.0.0.1", "Accept": "application/json, text/event-stream", **headers}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body)), "Mcp-Method": "subscriptions/listen"}
    lines = [f"{method} /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    stream = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    stream.sendall("\r\n".join(lines).encode() + body)
    assert b"200" in stream.recv(4096)
    return stream


def test_a_token_of_the_environment_is_asked_for_and_shown_nowhere(tmp_path: Path) -> None:
    """Without a file, what is installed is served: here nothing is, and the host's own tools are."""
    with running(tmp_path / "home", SANDBOX_TOKEN=TOKEN) as (process, port):
        modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
        assert post(port, listing, **modern)[0] == 401
        status, _, body = post(port, listing, Authorization=f"Bearer {TOKEN}", **modern)
        assert (status, b"load_component" in body) == (200, True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
    kept = "".join(path.read_text(errors="replace") for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert TOKEN not in out + err + kept


def test_a_component_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.wasm").write_bytes(b"\0asm")
    done = serve(tmp_path / "home", str(tmp_path / "broken.wasm"))
    assert done.returncode == 3
    assert "broken.wasm" in done.stderr
