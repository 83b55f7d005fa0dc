"""A guest that tries very much, or very long things: what the host keeps of it stays small, and counts it all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.result import CallResult
from tests.attacks.stage import Stage, policy

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = 2 << 20
STEP = {"verb": "read", "mount": "/w", "path": "", "other": "", "to": ""}


@pytest.mark.parametrize("part", [{"method": "A" * LONG}, {"authority": "a" * 60_000}, {"path": "/" + "p" * 60_000}])
async def test_a_refused_request_is_told_in_few_words(stage: Stage, part: dict[str, str]) -> None:
    """Neither the store, the record nor the client's error grows with what the guest asked for."""

    def check(result: CallResult) -> None:
        assert result.body is not None
        assert result.body["code"] == "network_access_denied"
        assert len(json.dumps(result.body)) < 64 << 10

    await stage.load("escape_network")
    request: dict[str, Any] = {
        "method": "GET",
        "scheme": "http",
        "authority": "evil.test",
        "path": "/",
        "headers": [],
        "body": "",
    }
    await stage.contained("escape_network__request", check, repeats=4, **{**request, **part})
    kept = stage.sandbox._store.denial(_last_denial(stage))
    assert len(json.dumps(kept.denial.target)) < 32 << 10


def _last_denial(stage: Stage) -> str:
    told = [denial for record in stage.records() for denial in record["denials"] if "denial_id" in denial]
    return str(told[-1]["denial_id"])


async def test_ten_thousand_refusals_are_counted_and_few_are_kept(stage: Stage) -> None:
    """The record says how many there were, not how many it holds."""
    folder = stage.folder / "w"
    folder.mkdir()
    rule = f'uri: "fs://{folder}/given/**", access: [read], mount: /w'
    await stage.load("escape_steps", policy(storage=rule, limits="file_ops: 1000000/s"))
    steps = [{**STEP, "mount": "/", "path": f"etc/{number}"} for number in range(10_000)]
    result = await stage.sandbox.call("escape_steps__take", {"steps": steps})
    assert result.outcome.ok
    assert len(result.outcome.denials) == 100
    assert result.outcome.usage.denials == 10_000
    outcome = [record for record in stage.records() if record["audit_id"] == result.request_id][-1]
    assert outcome["usage"]["denials"] == outcome["detail"]["denials"] == 10_000
    assert len(outcome["denials"]) == 16
