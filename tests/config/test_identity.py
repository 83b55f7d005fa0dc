"""What the configuration says of an issuer, seen from the command line: served with it, and told by the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.identity import identity_of
from sandbox.config.configuration import load_configuration
from sandbox.config.oauth import ALGORITHMS, OAuthSection
from sandbox.config.places import Places
from sandbox.config.read import read_text
from tests.support.guests import guest
from tests.support.issuer import REALM, Issuer, issuing
from tests.support.serving import SECONDS, program

STATIC = "a-token-of-twenty-characters"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing("https://tools.example.com/mcp") as issuer:
        yield issuer


def written(folder: Path, issuer: Issuer, **more: str) -> dict[str, str]:
    """The operator's file, and the environment that finds it."""
    further = "".join(f", {key}: {value}" for key, value in more.items())
    said = f"auth: {{oauth: {{issuer: {issuer.url}, audience: {issuer.audience}{further}}}}}\n"
    (folder / "sandbox.yaml").write_text(f"{said}admission: permissive\n")
    (folder / "sandbox.yaml").chmod(0o600)
    return {**os.environ, "SANDBOX_CONFIG": str(folder / "sandbox.yaml"), "SANDBOX_HOME": str(folder / "home")}


@contextmanager
def serving(environment: dict[str, str], *words: str) -> Iterator[str]:
    """`sandbox serve`, and where it is."""
    command = [program(), "serve", str(guest("every_type")), "--port", "0", "--json", *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


def asked(url: str, token: str | None, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, head and body of a plain GET."""
    headers |= {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SECONDS) as got:
            return got.status, dict(got.headers), got.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_a_server_takes_the_issuers_tokens_and_says_where_they_are_had(tmp_path: Path, issuer: Issuer) -> None:
    """On any address, under the name by which clients know it too; static tokens are taken beside them."""
    environment = written(tmp_path, issuer, scopes='["tools:invoke", "api://tools/call"]') | {"SANDBOX_TOKEN": STATIC}
    with serving(environment, "--host", "0.0.0.0") as url:
        port = url.rpartition(":")[2].partition("/")[0]
        health = f"http://127.0.0.1:{port}/health"
        status, head, _ = asked(health, None)
        assert (status, asked(health, issuer.token(aud="other"))[0]) == (401, 401)
        assert (
            'resource_metadata="https://tools.example.com/.well-known/oauth-protected-resource/mcp"' in head["www-authenticate"]
        )
        assert 'scope="tools:invoke api://tools/call"' in head["www-authenticate"]
        assert [asked(health, token)[0] for token in (issuer.token(), STATIC, "neither")] == [200, 200, 401]
        assert asked(health, issuer.token(), host="tools.example.com")[0] == 200
        metadata = f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp"
        told = json.loads(asked(metadata, None, host="tools.example.com")[2])
        assert (told["resource"], told["authorization_servers"]) == (issuer.audience, [issuer.url])
        assert told["scopes_supported"] == ["tools:invoke", "api://tools/call"]


async def test_the_doctor_says_whose_tokens_are_taken_and_whether_they_can_be_checked(tmp_path: Path, issuer: Issuer) -> None:
    environment = written(tmp_path, issuer) | {"SANDBOX_TOKEN": STATIC}
    configuration = load_configuration(Places(tmp_path, operator=tmp_path / "sandbox.yaml"), {})
    found = await identity_of(configuration)
    assert found.to_json()["issuer"] == {"issuer": issuer.url, "audience": issuer.audience, "keys": 1, "problem": None}
    issuer.answers[f"{REALM}/keys"] = (500, b"")
    try:
        assert "NO KEYS" in (await identity_of(configuration)).rows()[-1][1]
        command = [program(), "doctor", "--json"]
        away = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    finally:
        issuer.answers.clear()
    told = json.loads(away.stdout)
    assert (away.returncode, told["ok"], told["identity"]["tokens"]) == (4, False, "$SANDBOX_TOKEN")
    assert told["identity"]["issuer"]["problem"] == f"{issuer.root}{REALM}/keys: the answer is 500"
    assert STATIC not in away.stdout


def test_the_page_has_every_key_and_its_examples_are_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/identity.md").read_text()
    table = page.partition("| key | |")[2].partition("\n\n")[0]
    named = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert named == set(OAuthSection.model_fields)
    assert all(f"`{algorithm}`" in table for algorithm in ALGORITHMS)
    examples = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 4
    for text in examples:
        assert read_text(text, file="sandbox.yaml").settings["auth.oauth"].value["issuer"]
