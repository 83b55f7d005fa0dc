"""docs/admission.md: its documents load, its commands give what it shows, its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sandbox.admission.document.schema import admission_schema
from tests.support.commands import sandbox
from tests.test_guides import ROOT

TEXT = (ROOT / "docs" / "admission.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def missing(shown: str, said: str) -> str | None:
    """The first word of what is shown that does not come, in its order; `…` is anything."""
    at = 0
    for word in re.split(r"…|\s+", shown):
        at = said.find(word, at)
        if at < 0:
            return word
        at += len(word)
    return None


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's files lie, the operator's configuration beside the document."""
    clone = tmp_path_factory.mktemp("page")
    (clone / "components").symlink_to(ROOT / "components")
    for block in blocks("yaml"):
        file = clone / block.partition("\n")[0].removeprefix("# ")
        file.write_text(block)
        file.chmod(0o600)
    return clone


def test_the_commands_of_the_page_give_what_it_shows(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, in one home."""
    monkeypatch.chdir(clone)
    monkeypatch.setenv("SANDBOX_CONFIG", str(clone / "sandbox.yaml"))
    steps = [step.partition("\n") for step in re.split(r"^\$ ", "".join(blocks("console")), flags=re.MULTILINE)[1:]]
    assert len(steps) > 12
    for command, _, shown in steps:
        done = sandbox(*shlex.split(command)[1:], folder=clone)
        said = done.stdout + done.stderr
        refused = said.startswith(("deny: ", "error: ")) or "would be" in said.lower() or "diff" in command
        assert done.returncode == (1 if refused else 0), (command, said)
        assert missing(shown, said) is None, (command, said)


def test_the_python_of_the_page_runs() -> None:
    (program,) = blocks("python")
    exec(compile(program, "docs/admission.md", "exec"), {"__name__": "page"})


def test_every_field_of_a_document_that_the_page_writes_is_in_the_schema() -> None:
    """And every command that it names is one."""
    named = set(re.findall(r"^([a-z_]+):", blocks("yaml")[0], re.MULTILINE))
    assert named <= set(admission_schema()["properties"])
