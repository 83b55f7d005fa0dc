"""`docs/configuration.md` and `docs/secrets.md`: every command answers as it is shown, every file is written as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.serving import program

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("configuration.md", "secrets.md")


def blocks(page: str) -> list[tuple[str, str]]:
    """The code blocks of a page, in their order, each with its language."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, str]]:
    """A terminal's commands, each with the answer that is printed below it."""
    return [(step.partition("\n")[0], step.partition("\n")[2].strip()) for step in re.split(r"^\$ ", block, flags=re.M)[1:]]


def write(text: str, folder: Path, home: Path) -> None:
    """A file that is shown, where its first line says."""
    name = text.partition("\n")[0].removeprefix("# ")
    path = home / name.removeprefix("~/") if name.startswith("~/") else folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("page", PAGES)
def test_a_terminal_shows_what_the_page_shows(tmp_path: Path, page: str) -> None:
    home, folder = tmp_path / "me", tmp_path / "project"
    folder.mkdir()
    path = f"{Path(program()).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(home), "SANDBOX_HOME": str(tmp_path / "home"), "LANG": "C.UTF-8"}
    shown = 0
    for kind, text in blocks(page):
        if kind == "yaml":
            write(text, folder, home)
            continue
        assert kind == "console"
        for command, expected in steps(text):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            said = (done.stdout + done.stderr).strip().replace(f"{folder}/", "./").replace(str(home), "~")
            said = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", "…", said)
            assert said == expected, command
            shown += 1
    assert shown > 3


@pytest.mark.parametrize("page", PAGES)
def test_a_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (DOCS / page).read_text()):
        assert (DOCS / target).is_file()
