"""One server for all that is asked over the HTTP API, and callers with tokens of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.admission import Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.subject import TOKEN_SCOPES
from sandbox.errors import ApprovalPending
from sandbox.server.http.tokens import tokens_of
from tests.support.guests import guest
from tests.support.http import Answer, Served, served

WORD = "-has-this-very-long-token"
TOKENS = f"""
ann ann{WORD}
bob bob{WORD}
eve eve{WORD} tenant=other
chief chief{WORD} scopes=admin tenant=other
operator operator{WORD} scopes=admin
reader reader{WORD} scopes=tools:read
looker looker{WORD} scopes=resources:read
"""
DOCUMENT = """version: "1.0"
template: permissive
actions: {deploy: {tools: ["*__deploy"], default: require_approval}}
blocked_actions: [create_billing]
approvals: {require: ["traps__divide"]}
rules:
  - {name: none-secret, effect: deny, when: {action: {eq: summarise}, arguments.topic: {eq: secret}}, message: not about that}
budgets:
  users: {bob: {max_cost: 1, period: day}}
  runs: {named: {max_cost: 5}}
"""


@dataclass(frozen=True)
class Caller:
    """Somebody with a token."""

    front: Served
    sandbox: Sandbox
    name: str

    async def ask(self, method: str, path: str, body: Any = b"", **headers: str | None) -> Answer:
        """One request."""
        fields = {"Authorization": f"Bearer {self.name}{WORD}", **headers}
        return await self.front.ask(method, f"/api/v1/{path}", body, **fields)

    async def done(self, method: str, path: str, body: Any = b"", status: int = 200, **headers: str | None) -> Any:
        """What is answered to one that is done."""
        answer = await self.ask(method, path, body, **headers)
        assert answer.status == status, answer
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def refused(self, status: int, method: str, path: str, body: Any = b"", **headers: str | None) -> Any:
        """The problem of one that is not."""
        answer = await self.ask(method, path, body, **headers)
        assert answer.status == status, answer
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == status
        return problem

    async def asks_for_an_approval(self, tenant: str | None = None, **arguments: str) -> str:
        """The id of what a call of theirs waits for."""
        who = Subject(self.name, tenant=tenant, scopes=TOKEN_SCOPES)
        with pytest.raises(ApprovalPending) as pending:
            await self.sandbox.call("traps__divide", arguments, subject=who)
        return pending.value.approval


@dataclass(frozen=True)
class Callers:
    """Who asks."""

    front: Served
    sandbox: Sandbox

    def __getattr__(self, name: str) -> Caller:
        return Caller(self.front, self.sandbox, name)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    folder = tmp_path_factory.mktemp("api")
    async with Sandbox(folder / "home", admission=load_admission(DOCUMENT, file="admission.yaml")) as sandbox:
        await sandbox.load(guest("traps"), policy=policy(folder))
        yield sandbox


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def callers(sandbox: Sandbox) -> AsyncIterator[Callers]:
    async with served(sandbox, verifier=tokens_of(TOKENS, "tokens")) as front:
        yield Callers(front, sandbox)


def policy(folder: Path) -> Path:
    """What the component may touch: one host, and one folder whose files it may delete."""
    (folder / "data").mkdir()
    text = f"""version: "2.0"
permissions:
  network: {{allow: [{{host: api.example.com, protocols: [https]}}]}}
  storage: {{allow: [{{uri: "fs://{folder}/data/**", access: [read, delete]}}]}}
"""
    (folder / "policy.yaml").write_text(text)
    return folder / "policy.yaml"
