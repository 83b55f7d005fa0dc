"""docs/budgets.md: its documents load, its commands give what it shows, its Python prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.prices import shipped_prices
from sandbox.config.spending import FIELDS
from tests.support.commands import sandbox
from tests.test_admission_page import missing
from tests.test_guides import ROOT

TEXT = (ROOT / "docs" / "budgets.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_give_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks("yaml"):
        file = tmp_path / block.partition("\n")[0].removeprefix("# ")
        file.write_text(block)
        file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SANDBOX_CONFIG", str(tmp_path / "sandbox.yaml"))
    steps = [step.partition("\n") for step in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]]
    assert len(steps) == 4
    for command, _, shown in steps:
        done = sandbox(*shlex.split(command)[1:], folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert missing(shown, done.stdout) is None, (command, done.stdout)


def test_the_document_of_the_page_loads_and_its_table_has_every_limit() -> None:
    document = load_admission(blocks("yaml")[0], file="admission.yaml")
    assert document.rates
    named = set(re.findall(r"`(max_[a-z_]+)`", TEXT.partition("| limit |")[2].partition("\n\n")[0]))
    assert named == set(FIELDS.values())


def test_the_python_of_the_page_prints_what_it_says() -> None:
    (program,) = blocks("python")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, "docs/budgets.md", "exec"), {"__name__": "page"})
    assert said.getvalue().splitlines() == re.findall(r"# (.+)$", program, re.MULTILINE)


def test_the_page_names_the_day_of_the_prices() -> None:
    assert f"({shipped_prices().as_of})" in TEXT
