"""What a person sees while something slow goes on, and what a pipe does not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

SLOW = """\
import time
from sandbox.cli.progress import AFTER_S
from sandbox.cli.terminal import Terminal
with Terminal(json={json}).working("compiling [red]it\\x1b[2J", told={told}) as report:
    time.sleep({seconds})
    report(1, 2)
print("done")
"""
LONG, SHORT = 1.2, 0.0


def seen(
    *, seconds: float = LONG, json: bool = False, told: bool = False, terminal: bool = True, **settings: str
) -> tuple[str, str]:
    """Standard error of the slow work, on a terminal or a pipe, and its standard output."""
    program = SLOW.format(json=json, told=told, seconds=seconds)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        "TERM": "xterm-256color",
        **settings,
    }
    ours, theirs = pty.openpty()
    given = {"stdout": subprocess.PIPE, "stderr": theirs if terminal else subprocess.PIPE, "env": environment, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], **given) as process:  # type: ignore[call-overload]
        os.close(theirs)
        shown = b""
        try:
            while terminal and (chunk := os.read(ours, 1 << 16)):
                shown += chunk
        except OSError:
            pass  # a pseudo-terminal ends with EIO
        output, errors = process.communicate(timeout=30)
    os.close(ours)
    return shown.decode() if terminal else errors, output


def test_on_a_terminal_a_line_moves_and_is_gone_afterwards() -> None:
    errors, output = seen()
    assert "compiling [red]it\\x1b[2J" in errors, "neither markup nor a control character is obeyed"
    assert errors.rstrip("\r\n").endswith("\x1b[2K"), "the line is erased"
    assert output == "done\n"


@pytest.mark.parametrize("settings", [{"terminal": False}, {"json": True}, {"seconds": SHORT}])
def test_a_pipe_a_script_and_what_is_quick_see_nothing(settings: dict[str, object]) -> None:
    assert seen(**settings) == ("", "done\n")  # type: ignore[arg-type]


def test_how_long_it_took_is_told_where_that_is_of_use() -> None:
    errors, _ = seen(seconds=SHORT, told=True, terminal=False)
    assert errors.startswith("compiling [red]it\\x1b[2J: 0.")


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_the_word_that_says_what_a_line_is_has_a_colour_on_a_terminal(settings: dict[str, str], coloured: bool) -> None:
    ours, theirs = pty.openpty()
    environment = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm", **settings}
    subprocess.run([sys.executable, "-m", "sandbox", "nope"], stderr=theirs, env=environment, check=False, timeout=30)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "error:" in shown
    assert ("\x1b[1;31merror:\x1b[0m" in shown) is coloured
    assert ("\x1b[36mhelp:\x1b[0m" in shown) is coloured
