"""What the configuration says of servers: whose token is asked for, and how long an answer in a client may hold."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.api import Sandbox
from sandbox.cli.bearer import asked_for
from sandbox.cli.own import own_tools
from sandbox.cli.terminal import Terminal
from sandbox.errors import SandboxError
from sandbox.server.http.identity import Refused, Why
from tests.support.guests import guest
from tests.support.serving import SECONDS, program

TOKEN = "a-token-of-twenty-characters"


@contextmanager
def serving(folder: Path, text: str, **variables: str) -> Iterator[str]:
    """`sandbox serve` under a configuration; its URL."""
    file = folder / "sandbox.yaml"
    file.write_text(text)
    command = [
        program(),
        "serve",
        str(guest("traps")),
        "--port",
        "0",
        "--json",
        "--home",
        str(folder / "home"),
        "--config",
        str(file),
    ]
    with subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def configured(folder: Path, text: str, **options: Any) -> Namespace:
    """The arguments of a command under a configuration."""
    file = folder / "sandbox.yaml"
    file.write_text(f"{text}\n")
    return Namespace(config=str(file), **options)


def answer(url: str, token: str | None = None) -> int:
    """The HTTP status of a call, with a token or without one."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    headers |= {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=SECONDS) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_tokens_from_the_configured_file_are_asked_for(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"alice {TOKEN}\n")
    tokens.chmod(0o600)
    with serving(tmp_path, f"auth: {{token_file: {tokens}}}\n") as url:
        assert (answer(url), answer(url, "a-token-that-nobody-has-got")) == (401, 401)
        assert answer(url, TOKEN) != 401


async def test_tokens_from_the_configured_variable_are_asked_for_and_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose tokens are not there does not start: without any it would ask for none."""
    arguments = configured(tmp_path, "auth: {token_variable: TOKENS_OF_MINE}", token_file=None)
    with pytest.raises(SandboxError, match="`TOKENS_OF_MINE`, which is not set"):
        asked_for(arguments, Terminal())
    monkeypatch.setenv("TOKENS_OF_MINE", f"alice {TOKEN}")
    verifier = asked_for(arguments, Terminal()).verifier
    assert verifier is not None
    assert (await verifier.verify(TOKEN)).who.id == "alice"
    assert await verifier.verify("a-token-that-nobody-has-got") == Refused(Why.UNKNOWN)


@pytest.mark.parametrize("said", ["scopes=tools:read", "roles=reader"])
def test_what_a_token_may_do_is_held_to_or_nothing_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Without an admission document its scopes and its roles would say nothing; whose tenant it is, budgets ask too."""
    monkeypatch.setenv("SANDBOX_TOKEN", f"ann {TOKEN} tenant=acme\nbob {TOKEN}-of-bob {said}")
    word = said.partition("=")[0]
    with pytest.raises(SandboxError, match=f"the token `bob` has `{word}=`, which nothing holds it to") as refused:
        asked_for(configured(tmp_path, "{}", token_file=None), Terminal())
    assert "admission: " in str(refused.value.help)
    assert asked_for(configured(tmp_path, "admission: strict", token_file=None), Terminal()).verifier is not None
    monkeypatch.setenv("SANDBOX_TOKEN", f"ann {TOKEN} tenant=acme")
    assert asked_for(configured(tmp_path, "{}", token_file=None), Terminal()).verifier is not None


def test_an_issuers_tokens_are_held_to_their_scopes_or_nothing_is_served(tmp_path: Path) -> None:
    issuer = "auth: {oauth: {issuer: https://a.example, audience: https://b.example/mcp}}\n"
    with pytest.raises(SandboxError, match="nothing holds its tokens to their scopes and roles") as refused:
        asked_for(configured(tmp_path, issuer, token_file=None), Terminal())
    assert "admission: strict" in str(refused.value.help)
    asked = asked_for(configured(tmp_path, f"{issuer}admission: strict", token_file=None), Terminal())
    assert asked.verifier is not None
    assert asked.resource is not None
    assert (asked.resource.url, asked.resource.issuer) == ("https://b.example/mcp", "https://a.example")


@pytest.mark.parametrize(("text", "most"), [("grants: {lasting_in_client: true}", "lasting"), ("isolation: default", "session")])
async def test_an_answer_in_a_client_holds_for_its_session_unless_configured_otherwise(
    tmp_path: Path, text: str, most: str
) -> None:
    async with Sandbox(tmp_path / "home") as sandbox:
        tools = own_tools(configured(tmp_path, text, disable_builtin_tools=False), sandbox)
    assert tools._work.most == most
