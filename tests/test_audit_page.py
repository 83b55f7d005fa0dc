"""docs/audit.md: its document holds, its commands give what it shows, its Python prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from sandbox.admission.document.load import load_admission
from sandbox.admission.document.models import Kept
from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.test_admission_page import missing
from tests.test_guides import ROOT

TEXT = (ROOT / "docs" / "audit.md").read_text()


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_says_every_key_of_the_section() -> None:
    document = load_admission(block("yaml"), file="admission.yaml")
    assert document.audit == Kept.model_validate({"level": "standard", "retention": "90d", "encrypt": True})
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == set(Kept.model_fields)


def test_the_commands_of_the_page_give_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("admission.yaml", block("yaml")), ("sandbox.yaml", f"admission: {tmp_path / 'admission.yaml'}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("SANDBOX_CONFIG", str(tmp_path / "sandbox.yaml"))
    assert sandbox("component", "load", str(files_component()), "--accept", folder=tmp_path).returncode == 0
    assert sandbox("tool", "call", "files__info", "path=/workspace", folder=tmp_path).returncode == 0
    steps = [step.partition("\n") for step in re.split(r"^\$ ", block("console"), flags=re.MULTILINE)[1:]]
    assert len(steps) == 4
    for command, _, shown in steps:
        done = sandbox(*shlex.split(command)[1:], folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert missing(shown, done.stdout) is None, (command, done.stdout)


def test_the_python_of_the_page_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = block("python"), io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "docs/audit.md", "exec"), {})
    assert said.getvalue().splitlines() == re.findall(r"^# (.*)$", code, re.MULTILINE)
