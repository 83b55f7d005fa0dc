"""schemathesis against a real `sandbox serve`: every check that it has, in every phase, finds nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_serve import running
from tests.support.guests import guest
from tests.support.serving import ENVELOPE

WORD = "-has-this-very-long-token"
TOKENS = f"agent agent{WORD}\noperator operator{WORD} scopes=admin\n"
DOCUMENT = """version: "1.0"
template: permissive
approvals: {require: ["traps__*"]}
"""
SUPPRESSED = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server with a component, a grant, and calls that wait for approvals."""
    for name, text in (("tokens", TOKENS), ("admission.yaml", DOCUMENT), ("sandbox.yaml", "admission: ./admission.yaml\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    options = ("--token-file", str(tmp_path / "tokens"), "--config", str(tmp_path / "sandbox.yaml"), "--policy", "deny-all")
    with running(tmp_path / "home", str(guest("traps")), *options) as (_, port):
        for number in range(3):
            call = {"name": "traps__fine", "arguments": {"number": number}, "_meta": ENVELOPE}
            body = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call}
            head = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "traps__fine"}
            assert "a-" in json.dumps(post(port, "/mcp", body, "agent", **head))
        grant = {"component": "traps", "kind": "network", "entry": {"host": "api.example.com"}}
        assert post(port, "/api/v1/grants", grant, "operator")["component"] == "traps"
        yield port


def post(port: int, path: str, body: Any, who: str, **head: str) -> Any:
    accepts = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    fields = {"Authorization": f"Bearer {who}{WORD}", **accepts, **head}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), fields)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def found_nothing(port: int, folder: Path, who: str, *words: str) -> None:
    """Run it as that subject."""
    shutil.copy(SUPPRESSED, folder)
    url = f"http://127.0.0.1:{port}/api/v1/openapi.json"
    command = [str(Path(sys.executable).with_name("st")), "run", url, "-H", f"Authorization: Bearer {who}{WORD}"]
    told = [*command, "--continue-on-failure", "--checks", "all", "--no-color", *words]
    done = subprocess.run(told, cwd=folder, capture_output=True, text=True, timeout=1700, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: 19" in done.stdout, done.stdout[-2000:]


def test_a_few_requests_of_each_operation_find_nothing(port: int, tmp_path: Path) -> None:
    found_nothing(port, tmp_path, "operator", "-n", "2", "--phases", "examples,fuzzing,stateful", "--seed", "1")


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("who", ["operator", "agent"])
def test_two_hundred_requests_of_each_operation_find_nothing(port: int, tmp_path: Path, who: str) -> None:
    found_nothing(port, tmp_path, who, "-n", "200")
