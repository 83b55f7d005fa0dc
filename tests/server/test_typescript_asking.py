"""The TypeScript clients ask their person: the handshake era's push and the other's `InputRequiredResult`, over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sandbox.server.builtin import BuiltinTools
from sandbox.server.http.tokens import tokens_of
from tests.attacks.stage import staged
from tests.server.test_typescript import MODES, SCRIPTS
from tests.support.components import files_component
from tests.support.http import served
from tests.support.node import installed, node_version, run

pytestmark = pytest.mark.skipif(not node_version(), reason="node and npm are not installed")
TOKENS = [f"a-token-for-typescript-{number}" for number in range(len(MODES))]
"""One for each: the era without sessions has one session for each subject, and who said no is not asked again in it."""


@pytest.mark.asyncio(loop_scope="module")
async def test_a_person_at_a_typescript_client_refuses_and_grants(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    ready = await asyncio.to_thread(installed, SCRIPTS)
    async with staged(tmp_path) as stage:
        await stage.sandbox.load(files_component(), policy="deny-all")
        verifier = tokens_of("\n".join(f"someone{token[-1]} {token}" for token in TOKENS), "tokens")
        async with served(stage.sandbox, own=BuiltinTools(stage.sandbox), verifier=verifier) as front:
            for (script, mode), token in zip(MODES, TOKENS, strict=True):
                setting = {"version": script.removesuffix(".mjs"), "mode": mode, "url": front.url}
                setting |= {"file": str(tmp_path / "note.txt"), "uri": f"fs://{tmp_path}/note.txt"}
                words = json.dumps({**setting, "headers": {"Authorization": f"Bearer {token}"}})
                done = await run("asking.mjs", words, folder=ready, environment={})
                assert done.code == 0, (script, mode, done.err)
                told = json.loads(done.out)
                assert told["declined"]["error"], (script, mode)
                assert json.loads(told["declined"]["text"])["code"] == "grant_refused"
                assert told["before"]["error"], "a no grants nothing"
                assert told["granted"]["structured"]["granted"] is True, (script, mode)
                assert told["after"]["structured"] == {"result": "hello"}
                assert any("note.txt" in rule["line"] for rule in told["policy"]["structured"]["rules"])
                assert len(told["revoked"]["structured"]["revoked"]) == 1
                assert told["last"]["error"]
                assert len(told["shown"]) == 2
                assert all(str(tmp_path) in question for question in told["shown"])
                assert stage.sandbox.grants() == ()
