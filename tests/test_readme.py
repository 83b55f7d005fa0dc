"""The README's code blocks run, and do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]
FIRST_SCREEN = 40


def blocks(kind: str) -> list[str]:
    """The blocks of one language; a test over none would show nothing."""
    found = [text for each, text in BLOCKS if each == kind]
    assert found
    return found


def environment(folder: Path) -> dict[str, str]:
    """A terminal with this environment's commands and a home of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SANDBOX_HOME": str(folder / "home")}


def steps(block: str) -> list[tuple[str, str]]:
    """A terminal's commands, each with the answer that is printed below it."""
    return [
        (step.partition("\n")[0], step.partition("\n")[2].strip()) for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {kind for kind, _ in BLOCKS} == {"yaml", "console", "json", "python"}


@pytest.mark.parametrize("number", range(len(blocks("console"))))
def test_a_terminal_shows_what_the_readme_shows(tmp_path: Path, number: int) -> None:
    for command, expected in steps(blocks("console")[number]):
        done = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
        )
        said = re.sub(r"\bd-[0-9a-f]+", "d-…", done.stdout + done.stderr).strip()
        assert said == expected, command


def test_one_allowed_and_one_denied_call_are_on_the_first_screen() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert "\n5\n" in screen
    assert "refused: filesystem_access_denied" in screen


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_runs(tmp_path: Path, number: int) -> None:
    program = blocks("python")[number].replace("/tmp/sandbox-readme", str(tmp_path / "home"))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_clients_configuration_starts_a_server(tmp_path: Path) -> None:
    (server,) = json.loads(blocks("json")[0])["mcpServers"].values()
    words = [
        word.replace("/path/to/.venv/bin/", "").replace("/path/to/", f"{ROOT}/") for word in [server["command"], *server["args"]]
    ]
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n"
    done = subprocess.run(words, input=line, env=environment(tmp_path), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"]


def test_the_policy_shown_is_the_policy_that_lies_there() -> None:
    shown = [line for line in blocks("yaml")[0].splitlines() if not line.startswith("#")]
    lies_there = [line.split("  #")[0].rstrip() for line in (ROOT / "components/files/policy.yaml").read_text().splitlines()]
    assert "\n".join(shown) in "\n".join(lies_there)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_a_link_leads_to_a_file(target: str) -> None:
    assert (ROOT / target).is_file()


def test_the_demonstration_ends_as_it_says(tmp_path: Path) -> None:
    """`make demo` without its setup: allowed, refused, granted, allowed, revoked, refused, and the record holds."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "demo.py"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("← refused: ") == 2
    assert "ok: " in done.stdout
