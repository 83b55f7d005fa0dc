"""What a guest printed reaches its client's log without secrets: at every door, whatever a document says of results."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.admission.document.load import load_admission
from tests.support.guests import guest
from tests.support.http import Answer, Served, served
from tests.support.serving import ENVELOPE

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "gh" + "p_" + "a1B2" * 10
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"before\n-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END PRIVATE KEY-----\nbehind"
WARNS = 'version: "1.0"\ntemplate: permissive\ncontent:\n  - {pattern: zzz, reason: z, where: [result], action: warn}\n'
PRINT, SLOWLY = "prints__print", "prints_slowly__print"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[None, WARNS], ids=["no document", "results looked through"])
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    home: Path = tmp_path_factory.mktemp("told") / "home"
    admission = None if request.param is None else load_admission(request.param, file="admission.yaml")
    async with Sandbox(home, admission=admission) as sandbox:
        for name in ("prints", "prints_slowly"):
            await sandbox.load(guest(name))
        async with served(sandbox) as front:
            await front.modern("tools/list")  # from now on the tools are known
            yield front


async def asked(front: Served, door: str, text: str) -> Answer:
    """A call that prints the text, at one of the doors; its client hears everything."""
    arguments = {"name": PRINT, "arguments": {"text": text}}
    if door == "modern":
        meta = {**ENVELOPE, "io.modelcontextprotocol/logLevel": "debug"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**arguments, "_meta": meta}}
        headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": PRINT}
        return await front.ask(body=body, **headers)
    session = await front.handshake()
    await session.ask("logging/setLevel", {"level": "debug"})
    if door == "plain":
        return await session.call(PRINT, text=text)
    meta = {"_meta": {"progressToken": 1}}
    slow = {"name": SLOWLY, "arguments": {"text": text, "milliseconds": "1"}}
    return await session.ask("tools/call", {**(slow if door == "slowly" else arguments), **meta})


def logged(answer: Answer) -> str:
    """The lines of the log that came before the result."""
    lines = [line.decode() for line in answer.body.splitlines() if b"notifications/message" in line]
    assert lines, answer
    return "\n".join(lines)


@pytest.mark.parametrize("door", ["plain", "asks for progress", "slowly", "modern"])
async def test_what_is_printed_is_told_without_secrets(front: Served, door: str) -> None:
    told = logged(await asked(front, door, f"using {TOKEN} here"))
    assert "using [REDACTED:GITHUB_TOKEN] here" in told
    assert TOKEN not in told
    told = logged(await asked(front, door, PEM))
    assert BODY not in told
    assert "before" in told
    assert "[REDACTED:PRIVATE_KEY]" in told
    assert "behind" in told
