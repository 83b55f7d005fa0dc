"""What a component wrote cannot command the terminal that shows it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sandbox.cli.terminal import Terminal, safe
from sandbox.errors import PolicyError, Problem, SandboxError
from tests.support.guests import guest
from tests.support.serving import program


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb", "a\\rb"),
        ("a\nb", "a\\nb"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("Grüße, 世界", "Grüße, 世界"),
    ],
)
def test_control_and_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_table_for_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().table(("A", "B"), [("x", "\x1b[1m"), ("longer", 2)], none="nothing")
    assert capsys.readouterr().out.splitlines() == ["A       B", "x       \\x1b[1m", "longer  2"]


def test_an_empty_table_leaves_standard_output_empty(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().table(("A",), [], none="nothing")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "nothing\n")


def test_every_problem_of_a_document_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().fail(PolicyError((Problem("p:1:1", "a", "one", "do this"), Problem("p:2:1", "", "two"))))
    assert capsys.readouterr().err == "error: p:1:1: a: one\n  help: do this\nerror: p:2:1: two\n"


def test_an_error_is_data_where_data_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(json=True).fail(SandboxError("no", help="yes"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": {"code": "invalid_format", "message": "no", "help": "yes"}}
    assert captured.err == ""


def test_what_is_logged_cannot_command_the_terminal_or_look_like_another_line(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b]0;b\x07\nERROR sandbox: c" / "not-there.wasm"
    words = [program(), "tool", "list", str(guest("traps")), str(name), "--home", str(tmp_path / "home")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR ")]
    assert line.endswith("/a\\x1b]0;b\\x07")
    assert "\n  ERROR sandbox: c/not-there.wasm is left out" in done.stderr
    assert "\x1b" not in done.stderr
