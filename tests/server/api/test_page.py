"""docs/http-api.md: every command is given to a real server, and answers what the page shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server.http.api.table import OPERATIONS
from tests.cli.test_serve import running
from tests.server.api.test_schemathesis import post
from tests.support.guests import guest
from tests.support.serving import ENVELOPE, program
from tests.test_guides import pattern

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "http-api.md").read_text()
WORD = "-has-this-very-long-token"
TOKENS = f"agent agent{WORD} scopes=tools:invoke,resources:read\noperator operator{WORD} scopes=admin\n"
DOCUMENT = """version: "1.0"
template: permissive
actions: {deploy: {default: require_approval}}
approvals: {require: ["fetch__fine"]}
"""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server as the page means it, and a call that waits for an approval."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in (("tokens", TOKENS), ("admission.yaml", DOCUMENT), ("sandbox.yaml", "admission: ./admission.yaml\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    shutil.copy(guest("traps"), folder / "fetch.wasm")
    options = ("--token-file", str(folder / "tokens"), "--config", str(folder / "sandbox.yaml"), "--policy", "deny-all")
    with running(folder / "home", str(folder / "fetch.wasm"), *options) as (_, port):
        call = {"name": "fetch__fine", "arguments": {"number": 1}, "_meta": ENVELOPE}
        head = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "fetch__fine"}
        told = post(port, "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}, "agent", **head)
        (approval,) = set(re.findall(r"a-[0-9a-f]{32}", str(told)))
        yield {
            **os.environ,
            "PATH": f"{Path(program()).parent}{os.pathsep}{os.environ['PATH']}",
            "URL": f"http://127.0.0.1:{port}/api/v1",
            "AGENT": f"agent{WORD}",
            "OPERATOR": f"operator{WORD}",
            "APPROVAL": approval,
            "SANDBOX_HOME": str(folder / "home"),
            "SANDBOX_CONFIG": str(folder / "sandbox.yaml"),
        }


def test_every_command_answers_what_the_page_shows(environment: dict[str, str]) -> None:
    steps = [step for block in blocks("console") for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(steps) > 12
    for step in steps:
        command, _, shown = step.partition("\n")
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False)
        shown = shown.replace("$APPROVAL", environment["APPROVAL"])
        assert pattern(shown).match(done.stdout.strip()), (command, done.stdout, done.stderr)


def test_the_python_client_prints_what_it_says(environment: dict[str, str]) -> None:
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == re.findall(r"print\(.*  # (.*)", program), done.stderr


def test_the_scopes_that_the_page_names_are_those_of_the_operations() -> None:
    told = {line.split("|")[1].strip(): line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| `")}
    needs = {
        "`safety/*`: checks, the budgets of runs": {"tools:invoke"},
        "`approvals`: list, show, withdraw": {"tools:invoke"},
        "`approvals/ID/approve`, `deny`": {"admin"},
        "`grants`, `components`: look": {"resources:read"},
        "`grants`: give, revoke": {"resources:write", "admin"},
        "`audit`": {"resources:read"},
    }
    assert told.keys() == needs.keys()
    for one in OPERATIONS:
        first, _, last = one.path.partition("/")
        answers = first == "approvals" and last.endswith(("/approve", "/deny"))
        row = (
            2 if answers else {"safety": 0, "approvals": 1, "grants": 4 if one.changes else 3, "components": 3, "audit": 5}[first]
        )
        words, scopes = list(needs.items())[row]
        assert set(one.scopes) == scopes, one.id
        assert all(f"`{scope}`" in told[words] for scope in scopes)
