"""docs/approvals.md: its documents load, its commands give what it shows, its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sandbox.config.read import read_text
from tests.support.commands import sandbox
from tests.test_admission_page import missing
from tests.test_guides import ROOT

TEXT = (ROOT / "docs" / "approvals.md").read_text()
ID = re.compile(r"a-[0-9a-f]{32}")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_give_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in one home; `a-…` is the approval that was named last."""
    (tmp_path / "components").symlink_to(ROOT / "components")
    for block in blocks("yaml")[:2]:
        file = tmp_path / block.partition("\n")[0].removeprefix("# ")
        file.write_text(block)
        file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SANDBOX_CONFIG", str(tmp_path / "sandbox.yaml"))
    steps = [step.partition("\n") for step in re.split(r"^\$ ", blocks("console")[0], flags=re.MULTILINE)[1:]]
    assert len(steps) == 9
    last = ""
    for command, _, shown in steps:
        done = sandbox(*shlex.split(command.replace("a-…", last))[1:], folder=tmp_path)
        said = done.stdout + done.stderr
        last = (ID.findall(said) or [last])[-1]
        assert done.returncode == (1 if said.startswith("error: ") else 0), (command, said)
        assert missing(shown, said) is None, (command, said)


def test_the_configuration_of_the_page_is_read() -> None:
    layer = read_text(blocks("yaml")[2], file="sandbox.yaml")
    assert layer.settings["approvals.webhook"].value == {"url": "https://chat.example.com/approvals", "secret": "approvals/key"}
    assert layer.settings["approvals.wait"].value == "30s"


def test_the_python_of_the_page_runs() -> None:
    (program,) = blocks("python")
    exec(compile(program, "docs/approvals.md", "exec"), {"__name__": "page"})
