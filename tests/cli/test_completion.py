"""A real bash completes what is typed behind `sandbox`, from the parser itself and from the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.support.serving import SECONDS, program

KEY_PRESS = """\
eval "$(sandbox completion bash)"
while IFS= read -r COMP_LINE; do
  COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMPREPLY=()
  _python_argcomplete sandbox
  echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has the files component, one grant and one secret."""
    folder = tmp_path_factory.mktemp("completion")
    assert sandbox("component", "load", str(files_component()), "--policy", "deny-all", folder=folder).returncode == 0
    secret = [program(), "secret", "set", "weather/key", "--home", str(folder / "home")]
    subprocess.run(secret, input="a value", text=True, check=True, env={**os.environ, "SANDBOX_SECRETS_KEY": str(folder / "key")})
    done = sandbox("permission", "grant", "files", "network", "api.example.com", "--json", folder=folder)
    (folder / "grant").write_text(json.loads(done.stdout)["id"])
    return folder


def offered(home: Path, *lines: str) -> list[list[str]]:
    """What bash offers for each line."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SANDBOX_HOME": str(home / "home")}
    typed = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(
        ["bash", "--norc", "-c", KEY_PRESS],
        input=typed,
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_commands_options_and_names(home: Path) -> None:
    grant = (home / "grant").read_text()
    lines = {
        "sandbox perm": ["permission"],
        "sandbox permission revoke ": [grant],
        "sandbox permission grant ": ["files"],
        "sandbox permission grant files net": ["network"],
        "sandbox permission list ": ["files"],
        "sandbox run --isol": ["--isolation"],
        "sandbox run --isolation ": ["default", "strict"],
        "sandbox run --policy deny": ["deny-all"],
        "sandbox completion f": ["fish"],
        "sandbox doctor ": [],
        "sandbox tool call files__make": ["files__make-directory"],
        "sandbox secret remove ": ["weather/key"],
    }
    assert dict(zip(lines, offered(home, *lines), strict=True)) == lines


def test_a_home_that_is_not_there_completes_nothing_and_is_not_made(tmp_path: Path) -> None:
    assert offered(tmp_path, "sandbox permission revoke ") == [[]]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_lines(shell: str) -> None:
    done = sandbox("completion", shell)
    assert done.returncode == 0
    assert "_ARGCOMPLETE" in done.stdout
    told = json.loads(sandbox("completion", shell, "--json").stdout)
    assert done.stdout == f"{told['code']}\n"
    assert ("#compdef" in done.stdout) == (shell == "zsh")


def test_another_shell_is_wrong_usage() -> None:
    done = sandbox("completion", "bsh")
    assert done.returncode == 2
    assert "did you mean `bash`" in done.stderr
