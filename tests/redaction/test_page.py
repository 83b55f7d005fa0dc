"""docs/redaction.md: its program runs, and the kinds that it names are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.redaction.patterns import PATTERNS, USERINFO

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "redaction.md").read_text()


def test_the_program_of_the_page_runs() -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(program, "docs/redaction.md", "exec"), {})


def test_the_page_names_every_kind_and_no_other() -> None:
    (kinds,) = re.findall(r"^Kinds: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([A-Z_]+)`", kinds)) == {each.kind for each in PATTERNS} | {USERINFO, "AWS_SECRET_ACCESS_KEY"}
