"""Several subjects at one server: what a role does not give is not had by another way, and what is another's is not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox import NotAdmitted, NotFound
from sandbox.admission import Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.signal import Signal
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import Stage
from tests.support.components import files_component
from tests.support.http import Served, served
from tests.support.serving import ENVELOPE

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN, EVE = "token-of-ann-0123456789", "token-of-eve-0123456789"
DOCUMENT = load_admission(
    """version: "1.0"
roles:
  reader:
    permissions:
      - {resource: "tools/traps__fine", actions: [invoke]}
      - {resource: "tools/files__info", actions: [invoke]}
      - {resource: "tools/exhaust_sleep__sleep", actions: [invoke]}
rules:
  - {name: only-public, effect: deny, when: {tool: files__info, not: {arguments.path: {starts_with: /workspace/public/}}}}
assignments: {cay: [reader]}
""",
    file="admission.yaml",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    """A server with two tokens, one of which carries a role."""
    await stage.load("exhaust_sleep")
    await stage.sandbox.load(files_component(), policy="deny-all")
    stage.sandbox._admitting.authorizer.replace(DOCUMENT)
    verifier = tokens_of(f"ann {ANN} roles=reader\neve {EVE}\n", "tokens")
    async with served(stage.sandbox, token=ANN, verifier=verifier) as front:
        yield front


async def called(front: Served, tool: str, arguments: dict[str, Any], token: str = ANN) -> tuple[bool, str]:
    """Whether a call ran, and all that was answered."""
    answer = await front.modern("tools/call", {"name": tool, "arguments": arguments}, Authorization=f"Bearer {token}")
    body = answer.json()
    return "error" not in body and not body["result"].get("isError"), json.dumps(body)


async def test_a_tool_that_is_not_the_role_s_is_denied_wherever_it_is_called(front: Served, stage: Stage) -> None:
    """ADM-01: not listed, and denied by the same rule when it is called all the same, in each era and in Python."""
    listed = {tool["name"] for tool in (await front.modern("tools/list")).json()["result"]["tools"]}
    assert {"traps__fine", "files__info"} <= listed
    assert not {"traps__unreachable", "files__read"} & listed
    assert not (await front.modern("tools/list", Authorization=f"Bearer {EVE}")).json()["result"]["tools"]
    before = len(stage.records())
    for token, tool in ((ANN, "traps__unreachable"), (ANN, "files__read"), (EVE, "traps__fine")):
        ran, said = await called(front, tool, {"number": 3}, token)
        assert not ran, said
        assert "access_denied" in said
        session = await Served(front.url, front.stop, token).handshake()
        answered = await session.ask("tools/call", {"name": tool, "arguments": {"number": 3}})
        assert "access_denied" in json.dumps(answered.json())
        subject = (
            Subject("ann", ("reader",), scopes=("tools:invoke",)) if token == ANN else Subject("eve", scopes=("tools:invoke",))
        )
        with pytest.raises(NotAdmitted):
            await stage.sandbox.call(tool, {"number": 3}, subject=subject)
    denied = [record for record in stage.records()[before:] if record["event"] == "access_denied"]
    assert [record["rules"] for record in denied] == [["roles"]] * 9
    assert not [record for record in stage.records()[before:] if record["event"] == "tool_invoke"]
    assert (await called(front, "traps__fine", {"number": 3}))[0], "what the role gives is had"
    stage.sandbox._admitting.authorizer.replace(None)
    await stage.neighbour_is_well()
    stage.sandbox._admitting.authorizer.replace(DOCUMENT)


@pytest.mark.parametrize(
    "tool",
    [
        "TRAPS__UNREACHABLE",
        "traps__unreachable ",
        "traps__unreachable\u200b",
        "traps__unreachab\u217ce",
        "unreachable",
        "traps.unreachable",
    ],
)
async def test_another_spelling_of_a_tool_is_no_tool(front: Served, tool: str) -> None:
    """ADM-01: neither the tool that is denied, nor one that is allowed."""
    for each in (tool, tool.replace("unreachable", "fine").replace("UNREACHABLE", "FINE")):
        body = (await (await front.handshake()).call(each, number=3)).json()
        assert "error" in body or body["result"]["isError"], body


@pytest.mark.parametrize("name", ["Cay", "CAY", "cay ", "cаy", "cay\u200b", "cay\u0301", "ｃａｙ", "cay/", ""])
async def test_another_spelling_of_a_name_is_somebody_else(front: Served, stage: Stage, name: str) -> None:
    """ADM-01: a role is given to exactly one name."""
    cay = Subject("cay", scopes=("tools:invoke",))
    assert (await stage.sandbox.call("traps__fine", {"number": 3}, subject=cay)).outcome.ok
    with pytest.raises(NotAdmitted):
        await stage.sandbox.call("traps__fine", {"number": 3}, subject=Subject(name, scopes=cay.scopes))


async def test_what_a_caller_says_of_itself_gives_nothing(front: Served) -> None:
    """ADM-01: roles and scopes in arguments, in `_meta`, in headers are words of the caller."""
    told = {"roles": ["reader"], "subject": "ann", "scopes": ["admin"]}
    for params in ({"arguments": {"number": 3, **told}}, {"arguments": {"number": 3}, **told}):
        answer = await front.modern(
            "tools/call", {"name": "traps__fine", **params}, Authorization=f"Bearer {EVE}", X_Roles="reader", X_User="ann"
        )
        assert "access_denied" in answer.body.decode() or "error" in answer.json()
    assert not (await called(front, "traps__fine", {"number": 3}, EVE))[0]


async def test_another_s_running_call_is_not_there(front: Served, stage: Stage) -> None:
    """ADM-02: it is cancelled by nobody else, and its records are read by nobody else."""
    ann, eve = await front.handshake(), await Served(front.url, front.stop, EVE).handshake()
    sleeping = asyncio.create_task(ann.call("exhaust_sleep__sleep", 77, milliseconds="600"))
    async with asyncio.timeout(10):
        while not stage.sandbox.running_calls():
            await asyncio.sleep(0.01)
    await eve.tell("notifications/cancelled", {"requestId": 77})
    stolen = await front.ask(
        body={"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77}},
        Mcp_Session_Id=ann.id,
        Authorization=f"Bearer {EVE}",
    )
    assert stolen.status == 404
    ended = (await sleeping).json()["result"]
    assert not ended["isError"], "it ran to its end"
    for token, there in ((ANN, True), (EVE, False)):
        reader = Served(front.url, front.stop, token)
        read = (await reader.modern("resources/read", {"uri": "sandbox://record"})).body.decode()
        assert (ended["_meta"]["sandbox/request"] in read) is there


async def test_a_call_id_that_is_guessed_is_not_found(front: Served, stage: Stage) -> None:
    """ADM-02: ids have 128 bits, and a wrong one tells nothing."""
    for guess in ("1", "77", "0" * 32):
        with pytest.raises(NotFound):
            await stage.sandbox.signal(guess, Signal.SIGKILL)


@pytest.mark.parametrize(
    "path",
    [
        "/workspace/public/../secret",
        "/workspace/public/%2e%2e/secret",
        "/workspace/public//../../etc/passwd",
        "/workspace/public\\..\\secret",
        "/workspace/./public/../x",
        "file:///workspace/public/x",
        "--upload-pack=/workspace/public/x",
        "-/workspace/public/x",
        " /workspace/public/x",
        "/WORKSPACE/public/x",
        "/workspace/publicity",
        "",
    ],
)
async def test_a_path_in_an_argument_is_judged_as_it_is_meant(front: Served, path: str) -> None:
    """ARG-06: what leads elsewhere, or cannot be told, is denied by a rule about a prefix."""
    ran, said = await called(front, "files__info", {"path": path})
    assert not ran
    assert "only-public" in said


async def test_conditions_see_what_the_tool_will_see(front: Served, stage: Stage) -> None:
    """ARG-06: an argument is decoded once, before anything is decided; escapes of JSON hide and add nothing."""
    params = {"name": "files__info", "arguments": {"path": "PATH"}, "_meta": ENVELOPE}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    for spelled, meant in (("\\u002fworkspace\\/public\\u002fx", True), ("/workspace/public/\\u002e\\u002e/x", False)):
        headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": "files__info"}
        answer = await front.ask(body=body.replace("PATH", spelled).encode(), **headers)
        assert ("only-public" in answer.body.decode()) is not meant, answer
    invoked = [record for record in stage.records() if record["event"] == "tool_invoke" and record["tool"] == "files__info"]
    assert [record["arguments"] for record in invoked] == [{"path": "/workspace/public/x"}]
