"""docs/writing-policies.md: its commands, in its order, do what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sandbox.cli.arguments import root
from tests.support.commands import sandbox
from tests.support.components import files_component

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-policies.md"
HEAD = 'version: "2.0"\npermissions:\n'
FILES = {
    "weather.yaml": HEAD
    + "  network: {allow: [{host: api.example.com}, {host: db.example.com, protocols: [tcp], ports: [5432]}]}\n"
    + "  environment: {allow: [{key: API_KEY}]}\n",
    "weather-2.yaml": HEAD + "  network: {allow: [{host: api.example.com, methods: [GET]}]}\n",
    "most.yaml": HEAD
    + '  network: {allow: [{host: "*.example.com"}, {host: "*.example.com", protocols: [tcp], ports: any}]}\n'
    + '  environment: {allow: [{key: "*"}]}\n',
    "container.yaml": 'version: "1.0"\npermissions: {runtime: {docker: {}}}\n',
    "old.yaml": 'version: "1.0"\npermissions: {network: {allow: [{host: api.example.com}]}}\n',
}
ANSWER_IS_NO = ("explain files", "diff weather.yaml", "diff files")


def commands() -> list[list[str]]:
    """The commands of the page, without their comments."""
    found = re.findall(r"^    sandbox (policy .+)$", PAGE.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in found]


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    assert sandbox("tool", "list", str(files_component()), "--policy", "deny-all", folder=tmp_path).returncode == 0
    given = commands()
    assert len(given) > 14
    for words in given:
        done = sandbox(*words, folder=tmp_path)
        expected = 1 if " ".join(words[1:]).startswith(ANSWER_IS_NO) else 0
        assert done.returncode == expected, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


def test_the_page_names_every_policy_command() -> None:
    policy = next(action for action in root()._actions if action.choices and "policy" in action.choices).choices["policy"]
    (group,) = [action for action in policy._actions if action.choices]
    assert {words[1] for words in commands()} == set(group.choices)
