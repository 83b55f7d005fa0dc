"""How many sessions a token may open, and what is logged of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.server.http import serve
from sandbox.server.http.sessions import Sessions
from sandbox.server.http.tokens import tokens_of
from tests.support.http import Served, served
from tests.support.serving import HANDSHAKE

pytestmark = pytest.mark.asyncio
HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HANDSHAKE}
ALICE, BOB = "alice-has-this-token", "bob-has-another-token"


@pytest_asyncio.fixture
async def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A server that has room for eight sessions, and no component."""
    monkeypatch.setattr(serve, "Sessions", lambda server: Sessions(server, 8))
    async with (
        Sandbox(tmp_path / "home") as sandbox,
        served(sandbox, verifier=tokens_of(f"alice {ALICE}\nbob {BOB}", "tokens")) as front,
    ):
        yield front


async def opened(front: Served, token: str) -> str | None:
    """The id of a new session, or None where there is no room."""
    answer = await front.ask(body=HELLO, Authorization=f"Bearer {token}")
    assert answer.status in (200, 503)
    return answer.headers["mcp-session-id"] if answer.status == 200 else None


async def test_one_token_leaves_room_for_the_others(front: Served) -> None:
    alice = [await opened(front, ALICE) for _ in range(6)]
    assert [each is not None for each in alice] == [True] * 4 + [False] * 2
    bob = [await opened(front, BOB) for _ in range(3)]
    assert [each is not None for each in bob] == [True, True, False]
    gone = await front.ask("DELETE", Authorization=f"Bearer {ALICE}", Mcp_Session_Id=alice[0])
    assert gone.status == 200
    await asyncio.sleep(0)
    assert await opened(front, BOB) is not None


async def test_no_log_names_a_session(front: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = await opened(front, ALICE)
    assert session is not None
    await front.ask(body=HELLO, Authorization=f"Bearer {ALICE}", Mcp_Session_Id="0" * 32)
    await front.ask("DELETE", Authorization=f"Bearer {ALICE}", Mcp_Session_Id=session)
    logging.getLogger("mcp.server.streamable_http_manager").error("Session %s crashed", session)
    assert "Session (its id) crashed" in caplog.text
    assert session not in caplog.text
    assert "0" * 32 not in caplog.text
