"""The TypeScript clients over both transports: most hosts are built on the first of them.

npm installs exact versions into `.cache/typescript` on first use; without node the tests are skipped, which CI refuses.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import Stage, staged
from tests.support.components import files_component
from tests.support.guests import guest
from tests.support.http import Served, served
from tests.support.node import installed, node_version, run
from tests.support.serving import Serving, every_type, program

SCRIPTS = Path(__file__).parent / "typescript"
TOKEN = "a-token-for-typescript"

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not node_version(), reason="node and npm are not installed"),
]
MODES = [("v1.mjs", ""), ("v2.mjs", "legacy"), ("v2.mjs", "auto"), ("v2.mjs", "2026-07-28")]
clients = pytest.mark.parametrize(("script", "mode"), MODES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("typescript")) as stage:
        await stage.load_for_clients("every_type", "exhaust_sleep")
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(stage: Stage) -> AsyncIterator[Served]:
    async with served(stage.sandbox, verifier=tokens_of(f"typescript {TOKEN}", "tokens")) as front:
        yield front


async def steps(folder: Path, script: str, mode: str, home: Path, reached: dict[str, Any]) -> dict[str, Any]:
    """What the script's client got, step by step."""
    (folder / "note.txt").write_text("hello")
    (folder / "granted").mkdir()
    places = {"file": str(folder / "note.txt"), "folder": str(folder / "granted")}
    setting = {**reached, **places, "sandbox": [program()], "mode": mode}
    ready = await asyncio.to_thread(installed, SCRIPTS)
    done = await run(script, json.dumps(setting), folder=ready, environment={"SANDBOX_HOME": str(home)})
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def check(got: dict[str, Any]) -> None:
    """What every one of them must have got."""
    assert {"files__read", "every_type__echo-u64"} <= {tool["name"] for tool in got["tools"]}
    # Every one of them returns an error as a result: none throws because it does not fit the output schema.
    for denied in (got["refused"], got["revoked"]):
        assert denied["isError"] is True
        assert json.loads(denied["content"][0]["text"])["code"] == "filesystem_access_denied"
    assert got["granted"]["structuredContent"] == {"result": "hello"}
    assert got["unknown"]["thrown"]["code"] == -32602
    assert json.loads(got["wrong"]["content"][0]["text"])["code"] == "invalid_arguments"
    assert got["changed"] is True
    assert [(hints["readOnlyHint"], hints["destructiveHint"]) for hints in got["hints"]] == [(True, False), (False, True)]
    assert [rule for rule in got["policy"]["rules"] if rule["origin"].startswith("grant ")]
    assert got["completed"] == ["exhaust_sleep"]
    assert got["progress"][0] == "calling exhaust_sleep__sleep"
    assert "thrown" in got["aborted"]
    assert got["aborted_after_ms"] < 5000
    assert got["after"]["structuredContent"] == {"result": "18446744073709551615"}


@clients
async def test_a_typescript_client_on_standard_input_and_output(tmp_path: Path, script: str, mode: str) -> None:
    serving = Serving(tmp_path, [files_component(), every_type(), guest("exhaust_sleep")])
    check(await steps(tmp_path, script, mode, serving.home, {"command": serving.words[0], "args": serving.words[1:]}))


@clients
async def test_a_typescript_client_over_http(tmp_path: Path, stage: Stage, front: Served, script: str, mode: str) -> None:
    reached = {"url": front.url, "headers": {"Authorization": f"Bearer {TOKEN}"}}
    try:
        check(await steps(tmp_path, script, mode, stage.home, reached))
    finally:
        for grant in stage.sandbox.grants("files"):
            await stage.sandbox.revoke(grant.id)
