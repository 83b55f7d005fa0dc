"""Arguments that are not what they seem: to the host's own tools, over the wire, and in the command that a person is given."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.changes.granting import About
from sandbox.cli.arguments import parse
from sandbox.policy.grants import make_entry
from tests.attacks.stage import Stage, policy
from tests.support.serving import Lines, Serving, call, lines

GRANT = b"grant_storage_permission"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lines, Serving]]:
    """A server and a client without a person."""
    serving = Serving(tmp_path_factory.mktemp("arguments"))
    with lines(serving) as client:
        client.handshake()
        yield client, serving


def raw(client: Lines, request_id: int, name: bytes, arguments: bytes) -> dict[str, Any]:
    """The answer to a call whose text is written as it is."""
    head = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":' % request_id
    client.write(head + name + b',"arguments":' + arguments + b"}}")
    return client.answer(request_id)


def lives(client: Lines) -> None:
    """The next caller is served."""
    client.write(call("alive", "list_components"))
    assert client.answer("alive")["result"]["isError"] is False


LOOSE = {
    "half a character in a text": b'{"component_id":"files","uri":"fs:///\\ud800","access":["read"]}',
    "half a character in a list": b'{"component_id":"files","uri":"fs:///x","access":["\\udfff"]}',
    "half a character in a name": b'{"component_id":"files","\\ud800":"x"}',
    "not a number": b'{"component_id":"files","uri":"fs:///x","access":["read"],"max_uses":NaN}',
    "no end": b'{"component_id":"files","uri":"fs:///x","access":["read"],"max_uses":Infinity}',
    "a number beyond floats": b'{"component_id":"files","uri":"fs:///x","access":["read"],"max_uses":1e999}',
    "the same name twice": b'{"component_id":"files","uri":"fs:///srv/a","uri":"fs:///srv/b","access":["read"]}',
    "the same name twice, inside": b'{"component_id":"files","details":{"uri":"fs:///a","uri":"fs:///b","access":["read"]}}',
}


@pytest.mark.parametrize("loose", LOOSE)
def test_loose_json_is_refused_before_anything_reads_it(server: tuple[Lines, Serving], loose: str) -> None:
    """ARG-01, ARG-03, ARG-05: a person would be shown one thing and another would be granted."""
    client, _ = server
    for number, name in enumerate((b'"grant_storage_permission"', b'"files__read"', b'"grant-storage-permission"')):
        assert raw(client, 100 + number, name, LOOSE[loose])["error"]["code"] == -32602
    lives(client)


@pytest.mark.parametrize("name", [b'"grant\\ud800"', b'"\\udfff"'])
def test_half_a_character_in_a_tools_name_is_refused(server: tuple[Lines, Serving], name: bytes) -> None:
    """ARG-01"""
    client, _ = server
    assert raw(client, 200, name, b"{}")["error"]["code"] == -32602
    lives(client)


@pytest.mark.parametrize(
    "more",
    [
        {"unknown": 1},
        {"__proto__": {"access": ["write"]}},
        {"__class__": "Grant"},
        {"model_config": {"extra": "allow"}},
        {"details": {"access": ["write"]}},
        {"details": [["access", ["write"]]]},
        {"uri": ["fs:///srv/x"]},
        {"uri": {"toString": "fs:///srv/x"}},
        {"access": {"read": True}},
        {"access": ["read", "read\x00"]},
        {"component_id": None},
        {"max_uses": "9" * 5000},
        {"max_uses": 10**400},
        {"expires_in": "1e9s"},
        {"expires_in": "٣s"},
        {"reason": "x" * 100_000},
        {"uri": "fs:///" + "a/" * 50_000},
    ],
)
def test_a_wrong_argument_is_refused_by_its_name_and_never_asked_about(
    server: tuple[Lines, Serving], more: dict[str, Any]
) -> None:
    """ARG-05: unknown, missing, of another type, too long; and the record has one digest of what came."""
    client, _ = server
    client.write(
        call(300, "grant_storage_permission", **{"component_id": "files", "uri": "fs:///srv/x", "access": ["read"], **more})
    )
    answer = client.answer(300)
    told = json.loads(answer["result"]["content"][0]["text"])
    assert (answer["result"]["isError"], told["code"]) == (True, "invalid_arguments")
    assert len(told["message"]) < 2_000
    lives(client)


@pytest.mark.parametrize(
    "uri",
    [
        "fs:///srv/../etc/passwd",
        "fs:///srv/%2e%2e/etc",
        "file:///etc/passwd",
        "fs://~/../root/**",
        "--upload-pack=touch",
        "/etc/passwd",
        "fs:///srv/a\nfs:///etc",
        "fs:///srv/a\x00b",
        "fs:///proc/self/**",
    ],
)
def test_a_path_is_judged_as_it_will_be_opened(server: tuple[Lines, Serving], uri: str) -> None:
    """ARG-06: what could be read in two ways is read in none."""
    client, _ = server
    client.write(call(400, "grant_storage_permission", component_id="files", uri=uri, access=["read"]))
    answer = client.answer(400)
    told = json.loads(answer["result"]["content"][0]["text"])
    assert told["code"] in {"invalid_arguments", "grant_refused"}
    assert "command" not in told, "it was not even asked about"


@pytest.mark.parametrize(("uri", "means"), [("fs:////etc", "/etc"), ("fs:///srv/./x", "/srv/x"), ("fs:///srv//x/", "/srv/x")])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_is_shown_the_path_as_it_will_be_judged(stage: Stage, uri: str, means: str) -> None:
    """ARG-06"""
    await stage.load("escape_traversal", policy())
    entry = make_entry("storage", {"uri": uri, "access": ["read"]})
    proposal = stage.sandbox.propose("escape_traversal", "storage", entry, about=About("ann"))
    assert proposal.change.gives == (f"allow read on {means}",)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("grant_storage_permission", {"uri": "fs:///srv/`touch pwned`;x|y>z&", "access": ["read"]}),
        ("grant_storage_permission", {"uri": "fs:///srv/'\"/**", "access": ["read"], "mount": "/a b"}),
        ("grant_environment_permission", {"key": "A", "value": "--all; rm -rf ~ $(id) '"}),
        ("grant_environment_permission", {"key": "A", "value": "a\nsandbox permission grant files storage 'fs:///**'"}),
        ("grant_network_permission", {"host": "a.example", "paths": ["/v1/$(id)/**"]}),
    ],
)
def test_the_command_for_a_terminal_is_one_command_and_says_nothing_else(
    server: tuple[Lines, Serving], tool: str, arguments: dict[str, Any]
) -> None:
    """ARG-06: a person takes it over; what an agent wrote is one word of it and no option."""
    client, _ = server
    client.write(call(500, tool, component_id="files", **arguments))
    told = json.loads(client.answer(500)["result"]["content"][0]["text"])
    words = shlex.split(told["command"])
    assert words[:4] == ["sandbox", "permission", "grant", "files"]
    written = arguments.get("uri") or arguments.get("host") or f"{arguments['key']}={arguments['value']}"
    assert words[5] == written
    assert not [
        word for word in words[6:] if word not in {"--access", "read", "--mount", "/a b", "--path", "/v1/$(id)/**", "--lasting"}
    ]
    granted = parse(words[1:])
    assert (granted.words, granted.lifetime) == (["files", words[4], written], "lasting")


def test_none_of_it_was_granted(server: tuple[Lines, Serving]) -> None:
    _, serving = server
    assert serving.json("permission", "list") == []
    assert serving.json("audit", "verify")["ok"] is True
