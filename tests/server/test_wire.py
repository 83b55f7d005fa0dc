"""What a line from a client is: a message, a refusal with the right code, or nothing."""

from __future__ import annotations

import json

import mcp.types as t
import pytest

from sandbox.server.strict import MAX_DEPTH, read_json
from sandbox.server.wire import Refusal, read_line, write_line


def refused(line: bytes) -> tuple[object, int]:
    found = read_line(line)
    assert isinstance(found, Refusal)
    return found.id, found.error.code


@pytest.mark.parametrize(
    "line",
    [b"junk", b"{", b'"\xff"', b"1" * 5000, b"[" * (MAX_DEPTH + 1), b"[0] [1]", b"\xef\xbb\xbf{}"],
    ids=["words", "cut off", "not UTF-8", "digits", "deep", "two documents", "byte order mark"],
)
def test_what_is_no_json_is_a_parse_error_without_an_id(line: bytes) -> None:
    assert refused(line) == (None, t.PARSE_ERROR)


@pytest.mark.parametrize("line", [b"null", b"[]", b"3", b'{"jsonrpc":"1.0","id":null,"method":"ping"}'])
def test_json_that_is_no_message_is_an_invalid_request(line: bytes) -> None:
    assert refused(line) == (None, t.INVALID_REQUEST)


@pytest.mark.parametrize("request_id", ["true", "1.5", "null", "[]", "{}"])
def test_an_id_of_another_type_is_refused_and_not_taken_for_a_notification(request_id: str) -> None:
    line = f'{{"jsonrpc":"2.0","id":{request_id},"method":"ping"}}'
    assert refused(line.encode()) == (None, t.INVALID_REQUEST)


def test_an_invalid_message_is_refused_with_its_id() -> None:
    assert refused(b'{"id":3}') == (3, t.INVALID_REQUEST)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a":NaN}',
        '{"a":[-Infinity]}',
        '{"a":1e999}',
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        r'{"a":"\ud800"}',
        r'{"\udfff":1}',
        r'{"a":"\udc00\ud800"}',
    ],
)
def test_arguments_that_are_not_strict_json_are_invalid_params(arguments: str) -> None:
    """ATTACKS ARG-01, ARG-03, ARG-05: what was approved is what runs."""
    line = f'{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"x","arguments":{arguments}}}}}'
    assert refused(line.encode()) == (7, t.INVALID_PARAMS)


def test_a_lone_surrogate_in_the_id_is_refused_without_the_id() -> None:
    assert refused(rb'{"jsonrpc":"2.0","id":"\ud800","method":"ping"}') == (None, t.INVALID_PARAMS)


def test_a_refusal_can_always_be_written() -> None:
    found = read_line(rb'{"jsonrpc":"2.0","id":1,"method":"x","params":{"\ud800":1,"\ud800":2}}')
    assert found is not None
    assert json.loads(write_line(found))["error"]["code"] == t.INVALID_PARAMS


def test_a_notification_that_is_not_strict_is_dropped_since_nobody_waits_for_an_answer() -> None:
    assert read_line(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":NaN}}') is None


@pytest.mark.parametrize("line", [b"\n", b"  \r\n"])
def test_an_empty_line_is_nothing(line: bytes) -> None:
    assert read_line(line) is None


def test_brackets_in_a_string_are_no_nesting() -> None:
    text = '[{"' * MAX_DEPTH
    found = read_line(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"a": text}}).encode())
    assert isinstance(found, t.JSONRPCRequest)
    assert found.params == {"a": text}


def test_a_pair_of_surrogates_is_one_character() -> None:
    found = read_line(rb'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"\ud83d\ude00"}}')
    assert isinstance(found, t.JSONRPCRequest)
    assert found.params == {"a": "\N{GRINNING FACE}"}


def test_an_integer_beyond_2_to_53_stays_exact() -> None:
    found = read_line(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":18446744073709551615}}')
    assert isinstance(found, t.JSONRPCRequest)
    assert found.params == {"a": 2**64 - 1}


def test_a_result_that_is_no_json_becomes_an_error_with_the_same_id() -> None:
    line = write_line(t.JSONRPCResponse(jsonrpc="2.0", id=4, result={"a": "\ud800"}))
    assert json.loads(line)["id"] == 4
    assert json.loads(line)["error"]["code"] == t.INTERNAL_ERROR


def test_a_string_that_is_never_closed_is_read_once() -> None:
    """Who looks at each of its quotes anew needs days for it."""
    with pytest.raises(ValueError, match="unterminated string"):
        read_json(b"[" + b"[]," * MAX_DEPTH + b'"' + b'\\"' * 2_000_000)
