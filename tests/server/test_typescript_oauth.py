"""The official TypeScript clients get their token by themselves, and another one where a tool needs more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.server.test_oauth import BILLING, ECHO, PRINT, Front, front, issuer
from tests.support.issuer import REALM
from tests.support.node import installed, node_version, run

__all__ = ["front", "issuer"]
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not node_version(), reason="node and npm are not installed"),
]


@pytest.mark.parametrize(("client", "mode", "scope"), [("v1", "", BILLING), ("v2", "legacy", None), ("v2", "auto", None)])
async def test_a_client_with_credentials_gets_a_token_and_steps_up(
    front: Front, client: str, mode: str, scope: str | None
) -> None:
    """The older one asks for the scopes that its maker wrote, and for no others, whatever a server says."""
    ready = await asyncio.to_thread(installed, Path(__file__).parent / "typescript")
    calls = [(ECHO, {"x": "a"}), (PRINT, {"text": "a"})]
    setting = {
        "client": client,
        "mode": mode,
        "url": front.served.url,
        "issuer": front.issuer.url,
        "calls": calls,
        "scope": scope,
    }
    front.issuer.asked.clear()
    done = await run("oauth.mjs", json.dumps(setting), folder=ready)
    assert done.code == 0, done.err
    got = json.loads(done.out)
    assert [got[tool].get("isError", False) for tool, _ in calls] == [False, False], got
    assert front.issuer.asked.count(f"{REALM}/token") == (1 if scope else 2)
    came = [one["detail"]["scopes"] for one in front.records() if one["event"] == "auth_success"]
    assert set(BILLING.split()) == set(came[-1])
