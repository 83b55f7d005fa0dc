"""`sandbox run` as any client meets it: lines in, lines out, and nothing else on the wire."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.guests import guest
from tests.support.serving import ENVELOPE, HANDSHAKE, SECONDS, Serving, call, every_type, lines, request


def opening(*messages: dict[str, Any]) -> bytes:
    """A whole conversation as one input."""
    hello = [request("hello", "initialize", HANDSHAKE), {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    return b"".join(json.dumps(message).encode() + b"\n" for message in [*hello, *messages])


ONE = {"name": "every_type__echo-u32", "arguments": {"x": 1}}


def answers(output: bytes) -> dict[Any, dict[str, Any]]:
    return {message.get("id"): message for message in map(json.loads, output.splitlines())}


def test_a_junk_line_is_a_parse_error_and_the_connection_goes_on(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [every_type()])) as client:
        client.handshake()
        client.write(b"junk")
        assert client.read()["error"]["code"] == -32700
        assert client.ask(1, "ping")["result"] == {}


@pytest.mark.parametrize("arguments", ['{"x":1,"x":2}', '{"x":NaN}', r'{"x":"\ud800"}'])
def test_arguments_that_are_not_strict_json_never_reach_a_guest(tmp_path: Path, arguments: str) -> None:
    serving = Serving(tmp_path, [every_type()])
    with lines(serving) as client:
        client.handshake()
        params = f'{{"name":"every_type__echo-u32","arguments":{arguments}}}'
        client.write(f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'.encode())
        assert client.answer(1)["error"]["code"] == -32602
    assert serving.json("audit", "list", "--event", "tool_invoke") == []


def test_the_two_eras_are_not_mixed_on_one_connection(tmp_path: Path) -> None:
    serving = Serving(tmp_path, [every_type()])
    with lines(serving) as client:
        client.handshake()
        mixed = client.ask(1, "tools/call", {**ONE, "_meta": ENVELOPE})
        assert mixed["error"]["code"] == -32600
        assert client.ask(2, "tools/call", ONE)["result"]["structuredContent"] == {"result": 1}
    with lines(serving) as client:
        assert "tools" in client.ask(1, "tools/list", {"_meta": ENVELOPE})["result"]
        assert client.ask(2, "initialize", HANDSHAKE)["error"]["code"] == -32022


def test_what_comes_before_the_first_request_is_not_lost(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [every_type()])) as client:
        client.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        assert client.ask(1, "tools/call", ONE)["result"]["structuredContent"] == {"result": 1}


def test_a_line_that_is_too_long_is_refused_and_skipped(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [every_type()])) as client:
        client.handshake()
        client.write(b'{"a":"' + b"x" * (20 << 20) + b'"}')
        refusal = client.read()
        assert (refusal["id"], refusal["error"]["code"]) == (None, -32700)
        assert client.ask(1, "ping")["result"] == {}


def test_an_unknown_tool_is_an_invalid_parameter(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [every_type()])) as client:
        client.handshake()
        client.write(call(1, "every_type__nope"))
        assert client.answer(1)["error"]["code"] == -32602


def test_what_a_guest_prints_never_reaches_the_wire(tmp_path: Path) -> None:
    """ATTACKS RES-15: a guest prints an answer to the next request, and newlines."""
    forged = '\n{"jsonrpc":"2.0","id":2,"result":{"forged":true}}\n'
    with lines(Serving(tmp_path, [guest("prints")])) as client:
        client.handshake()
        client.write(call(1, "prints__print", text=forged), call(2, "prints__print", text="x"))
        first, second = client.answer(1), client.answer(2)
        rest, _ = client.end()
    assert first["result"]["structuredContent"] == {"result": forged}
    assert first["result"]["_meta"]["sandbox/stdout"] == f"{forged}\n"
    assert first["result"]["_meta"]["sandbox/stderr"] == f"{forged}\n"
    assert second["result"]["structuredContent"] == {"result": "x"}
    assert rest == []


def test_what_a_guest_prints_is_cut_in_a_result(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [guest("prints")])) as client:
        client.handshake()
        client.write(call(1, "prints__print", text="y" * 20_000))
        result = client.answer(1)["result"]
    assert result["_meta"]["sandbox/stdout"] == "y" * 4096
    assert result["structuredContent"] == {"result": "y" * 20_000}


def test_what_a_guest_prints_leaves_without_secrets(tmp_path: Path) -> None:
    """Also where one stands at the place where the text is cut, and one that no rule of a document looks for."""
    key = "gh" + "p_" + "a1B2" * 10
    with lines(Serving(tmp_path, [guest("prints")])) as client:
        client.handshake()
        for number, text in enumerate((f"using {key}\npassword: hunter2", "y" * 4080 + f" {key}", "y " * 2550 + key), 1):
            client.write(call(number, "prints__print", text=text))
            meta = client.answer(number)["result"]["_meta"]
            for printed in (meta["sandbox/stdout"], meta["sandbox/stderr"]):
                assert key[:12] not in printed
                assert "hunter2" not in printed
                assert len(printed) <= 4096
            if number == 1:
                assert meta["sandbox/stderr"] == "using [REDACTED:GITHUB_TOKEN]\npassword: [REDACTED:PASSWORD]\n"


def test_calls_in_flight_at_the_end_of_the_input_are_answered(tmp_path: Path) -> None:
    """`printf … | sandbox run` gets its results."""
    slow = [call(number, "exhaust_sleep__sleep", milliseconds="300") for number in range(4)]
    done = subprocess.run(
        Serving(tmp_path, [guest("exhaust_sleep")]).words, input=opening(*slow), capture_output=True, timeout=SECONDS, check=True
    )
    found = answers(done.stdout)
    assert set(found) == {"hello", 0, 1, 2, 3}
    assert all(not found[number]["result"]["isError"] for number in range(4))


def test_a_file_can_be_the_input_and_the_output(tmp_path: Path) -> None:
    """epoll takes no regular files, so a thread copies them."""
    (tmp_path / "in").write_bytes(opening(request(1, "tools/list")))
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        subprocess.run(Serving(tmp_path, [every_type()]).words, stdin=source, stdout=target, timeout=SECONDS, check=True)
    assert set(answers((tmp_path / "out").read_bytes())) == {"hello", 1}


def test_one_socket_can_be_both(tmp_path: Path) -> None:
    """As inetd does it; asyncio alone would take the first request for a hang-up."""
    ours, theirs = socket.socketpair()
    with ours, lines(Serving(tmp_path, [every_type()]), stdin=theirs, stdout=theirs):
        theirs.close()
        ours.settimeout(SECONDS)
        ours.sendall(opening(request(1, "ping")))
        ours.shutdown(socket.SHUT_WR)
        output = b""
        while chunk := ours.recv(1 << 16):
            output += chunk
    assert answers(output)[1]["result"] == {}


def test_no_input_at_all_ends_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        Serving(tmp_path, [every_type()]).words, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True
    )
    assert done.stdout == b""


def test_a_closed_standard_input_is_an_empty_one(tmp_path: Path) -> None:
    words = Serving(tmp_path, [every_type()]).words
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *words], capture_output=True, timeout=SECONDS, check=False)
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_with_a_call_in_flight(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with lines(Serving(tmp_path, [guest("exhaust_sleep")]), stderr=subprocess.PIPE) as client:
        client.handshake()
        client.write(call(1, "exhaust_sleep__sleep", milliseconds="20000"))
        client.ask(2, "ping")
        begun = time.monotonic()
        client.process.send_signal(number)
        assert client.process.wait(SECONDS) == code
        assert time.monotonic() - begun < 15
        assert client.process.stderr is not None
        assert b"Traceback" not in client.process.stderr.read()
        client.process.stderr.close()


def test_a_server_that_is_stopped_while_it_compiles_condemns_no_component(tmp_path: Path) -> None:
    """A client's probe process lives for a moment only; what it began must not be taken for a compilation without end."""
    serving = Serving(tmp_path)
    with lines(serving) as client:
        while not any(serving.home.glob("cache/*")):
            assert client.process.poll() is None
        client.process.send_signal(signal.SIGTERM)
        client.process.wait(SECONDS)
    assert "files__read" in {tool["name"] for tool in serving.json("tool", "list", str(serving.components[0]))}


def test_a_client_that_reads_no_more_ends_it(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [guest("exhaust_sleep")])) as client:
        client.handshake()
        client.write(call(1, "exhaust_sleep__sleep", milliseconds="20000"))
        assert client.process.stdout is not None
        assert client.process.stdin is not None
        client.process.stdout.close()
        client.process.stdin.close()
        begun = time.monotonic()
        assert client.process.wait(SECONDS) == 0
        assert time.monotonic() - begun < 15


def test_the_pipe_is_blocking_again_afterwards(tmp_path: Path) -> None:
    """The open file is shared with the shell that started us."""
    reading, writing = os.pipe()
    source = os.open(os.devnull, os.O_RDONLY)
    subprocess.run(Serving(tmp_path, [every_type()]).words, stdin=source, stdout=writing, timeout=SECONDS, check=True)
    assert os.get_blocking(writing)
    for descriptor in (reading, writing, source):
        os.close(descriptor)


def test_calls_overlap(tmp_path: Path) -> None:
    """Thirty-two calls of 0.3 s each, as many at a time as the policy lets run."""
    policy = 'version: "2.0"\npermissions:\n  resources:\n    limits: {concurrency: 32}\n'
    with lines(Serving(tmp_path, [guest("exhaust_sleep")], policy)) as client:
        client.handshake()
        client.write(call("warm", "exhaust_sleep__sleep", milliseconds="1"))
        client.answer("warm")
        begun = time.monotonic()
        client.write(*(call(number, "exhaust_sleep__sleep", milliseconds="300") for number in range(32)))
        found = [client.answer(number) for number in range(32)]
        took = time.monotonic() - begun
    assert all(not answer["result"]["isError"] for answer in found), found[0]
    assert took < 32 * 0.3 * 2 / 3, "one after the other takes 9.6 s"


def test_a_modern_connection_needs_no_handshake(tmp_path: Path) -> None:
    with lines(Serving(tmp_path, [every_type()])) as client:
        listed = client.ask(1, "tools/list", {"_meta": ENVELOPE})["result"]
        params = {"name": "every_type__echo-u32", "arguments": {"x": 7}, "_meta": ENVELOPE}
        result = client.ask(2, "tools/call", params)["result"]
    assert listed["tools"][0]["name"].startswith("every_type__")
    assert result["structuredContent"] == {"result": 7}
