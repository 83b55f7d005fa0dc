"""The TypeScript clients against `sandbox run`: most hosts are built on the first of them.

npm installs exact versions into `.cache/typescript` on first use; without node the tests are skipped, which CI refuses.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.components import files_component
from tests.support.guests import guest
from tests.support.serving import Serving, every_type, program

SCRIPTS = Path(__file__).parent / "typescript"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "typescript"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or shutil.which("npm") is None, reason="node and npm are not installed"
)


@functools.cache
def clients() -> Path:
    """The scripts beside their installed packages."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = (SCRIPTS / "package.json").read_text()
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, CACHE)
    installed = CACHE / "installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        (CACHE / "package.json").write_text(wanted)
        words = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(words, cwd=CACHE, check=True, timeout=110)
        installed.write_text(wanted)
    return CACHE


def steps(tmp_path: Path, script: str, mode: str) -> dict[str, Any]:
    """What the script's client got, step by step."""
    (tmp_path / "note.txt").write_text("hello")
    serving = Serving(tmp_path, [files_component(), every_type(), guest("exhaust_sleep")])
    setting = {
        "command": serving.words[0],
        "args": serving.words[1:],
        "file": str(tmp_path / "note.txt"),
        "sandbox": [program()],
        "mode": mode,
    }
    done = subprocess.run(
        ["node", clients() / script, json.dumps(setting)],
        env={"SANDBOX_HOME": str(serving.home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("script", "mode"), [("v1.mjs", ""), ("v2.mjs", "legacy"), ("v2.mjs", "auto"), ("v2.mjs", "2026-07-28")])
def test_a_typescript_client_lists_calls_is_denied_and_granted(tmp_path: Path, script: str, mode: str) -> None:
    got = steps(tmp_path, script, mode)
    assert {"files__read", "every_type__echo-u64"} <= {tool["name"] for tool in got["tools"]}
    # Every one of them returns an error as a result: none throws because it does not fit the output schema.
    for denied in (got["refused"], got["revoked"]):
        assert denied["isError"] is True
        assert json.loads(denied["content"][0]["text"])["code"] == "filesystem_access_denied"
    assert got["granted"]["structuredContent"] == {"result": "hello"}
    assert got["unknown"]["thrown"]["code"] == -32602
    assert json.loads(got["wrong"]["content"][0]["text"])["code"] == "invalid_arguments"
    assert "thrown" in got["aborted"]
    assert got["aborted_after_ms"] < 5000
    assert got["after"]["structuredContent"] == {"result": "18446744073709551615"}
