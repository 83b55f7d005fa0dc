"""`sandbox install` changes one entry of a client's configuration, and not a byte besides."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.install.clients import NAMES, PRINTED, Machine, client, scoped
from tests.support.commands import Done, sandbox
from tests.support.components import files_component
from tests.support.serving import HANDSHAKE, program, request

COMMENTED = """\
{
  // the theme at home
  "theme": "dark", /* not "light" */
  "mcpServers": {
    "other": {"command": "npx", "args": ["-y", "x"]}, // keep
  },
  "big": 12345678901234567890, "float": 1.0,
}
"""
TOML = """\
# what I like
model = "o1"   # the big one

[mcp_servers.other]
command = "npx"  # keep
args = [
  "-y",
  "x",
]

[tui]
theme = "dark"
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home folder, where the command stands in a project."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "SANDBOX_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def told(done: Done) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("claude_desktop_config.json", "{", "1:2: `}` is missing"),
        ("claude_desktop_config.json", '{"a": 1 "b": 2}', "1:9: a `,` is missing"),
        ("claude_desktop_config.json", '{"a": 1,\n"a": 2}', "2:1: `a` occurs twice"),
        ("claude_desktop_config.json", "[]", "it is no object"),
        ("claude_desktop_config.json", '{"mcpServers": []}', "`mcpServers` is no object"),
        ("claude_desktop_config.json", '{"x": nope}', "`nope` is no JSON value"),
        ("claude_desktop_config.json", '{"x": ' + "[" * 5000, "nested too deep"),
        ("claude_desktop_config.json", b"\xff", "no UTF-8"),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is(user: Path, file: str, text: str | bytes, says: str) -> None:
    path = user / ".config" / "Claude" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(before := text if isinstance(text, bytes) else text.encode())
    done = sandbox("install", "claude")
    assert done.returncode == 3
    assert f"{path}: " in done.stderr
    assert says in done.stderr
    assert path.read_bytes() == before
    assert everything(path.parent) == {file}


@pytest.mark.parametrize("text", ["mcp_servers = 1\n", "a = \n", '[mcp_servers]\nx = "y"\n[mcp_servers]\n'])
def test_a_toml_file_that_is_not_understood_is_left_as_it_is(user: Path, text: str) -> None:
    (user / ".codex").mkdir()
    (user / ".codex" / "config.toml").write_text(text)
    assert sandbox("install", "codex").returncode == 3
    assert (user / ".codex" / "config.toml").read_text() == text
    assert everything(user / ".codex") == {"config.toml"}


def test_another_entry_of_that_name_is_not_overwritten_unasked(user: Path) -> None:
    first = told(sandbox("install", "cursor", "--json"))
    done = sandbox("install", "cursor", str(files_component()))
    assert done.returncode == 2
    assert "says something else" in done.stderr
    assert json.loads((user / ".cursor" / "mcp.json").read_text())["mcpServers"]["sandbox"] == first["entry"]
    again = told(sandbox("install", "cursor", "--json"))
    assert (again["changed"], again["written"], again["backup"]) == (False, False, None)
    replaced = told(sandbox("install", "cursor", str(files_component()), "--replace", "--json"))
    assert json.loads(Path(replaced["backup"]).read_text())["mcpServers"]["sandbox"] == first["entry"]
    assert json.loads((user / ".cursor" / "mcp.json").read_text())["mcpServers"]["sandbox"] == replaced["entry"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nope"], "there is no `nope`"),
        (["cusor"], "did you mean `cursor`?"),
        (["claude", "--scope", "project"], "`--scope user`"),
        (["claude-code", "--scope", "user"], "claude mcp add --scope user"),
        (["claude", "nope.wasm"], "nope.wasm: there is no such file"),
        (["claude", "--policy", "nope.yaml"], "nope.yaml: there is no such file"),
        (["claude", "--env", "WORKSPACE"], "write `--env NAME=VALUE`"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_and_writes_nothing(user: Path, words: list[str], says: str) -> None:
    done = sandbox("install", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert everything(user) == set()


def test_a_variable_that_a_policy_needs_is_named_until_the_client_sets_it(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client starts it without this terminal's environment: the path is written out, from where the person stands."""
    words = ("install", "cursor", str(files_component()), "--policy", "files=workspace", "--config", "mine.yaml")
    monkeypatch.setenv("WORKSPACE", "/srv")
    done = sandbox(*words)
    assert "a policy needs `WORKSPACE`, and the client has to set it" in done.stderr
    assert told(sandbox(*words, "--json"))["missing"] == ["WORKSPACE"]
    done = sandbox(*words, "--env", "WORKSPACE=.", "--env", "MODE=.", "--replace")
    assert "WORKSPACE" not in done.stderr
    entry = json.loads((user / ".cursor" / "mcp.json").read_text())["mcpServers"]["sandbox"]
    assert entry["env"] == {"WORKSPACE": str(user / "project"), "MODE": "."}
    assert entry["args"][-2:] == ["--config", str(user / "project" / "mine.yaml")]


@pytest.mark.parametrize("words", [["--dry-run"], ["--print"]])
@pytest.mark.parametrize("name", ["claude", "claude-code", "cursor", "vscode", "gemini", "codex"])
def test_a_look_writes_nothing(user: Path, name: str, words: list[str]) -> None:
    done = sandbox("install", name, str(files_component()), *words)
    assert done.returncode == 0
    assert str(files_component()) in done.stdout
    assert everything(user) == set()


@pytest.mark.parametrize(
    ("platform", "name", "scope", "place"),
    [
        ("linux", "claude", "user", "/h/.config/Claude/claude_desktop_config.json"),
        ("darwin", "claude", "user", "/h/Library/Application Support/Claude/claude_desktop_config.json"),
        ("win32", "claude", "user", "/h/AppData/Roaming/Claude/claude_desktop_config.json"),
        ("linux", "claude-code", "project", "/p/.mcp.json"),
        ("linux", "cursor", "user", "/h/.cursor/mcp.json"),
        ("linux", "cursor", "project", "/p/.cursor/mcp.json"),
        ("linux", "vscode", "project", "/p/.vscode/mcp.json"),
        ("linux", "vscode", "user", "/h/.config/Code/User/mcp.json"),
        ("darwin", "vscode", "user", "/h/Library/Application Support/Code/User/mcp.json"),
        ("linux", "gemini", "user", "/h/.gemini/settings.json"),
        ("linux", "gemini", "project", "/p/.gemini/settings.json"),
        ("linux", "codex", "user", "/h/.codex/config.toml"),
        ("linux", "codex", "project", "/p/.codex/config.toml"),
    ],
)
def test_each_client_has_its_file_on_each_platform(platform: str, name: str, scope: Any, place: str) -> None:
    machine = Machine(platform, Path("/h"), {}, Path("/p"))
    assert machine.find(scoped(name, scope)[1]) == Path(place)


@pytest.mark.parametrize(
    ("platform", "name", "environ", "place"),
    [
        ("linux", "claude", {"XDG_CONFIG_HOME": "/c"}, "/c/Claude/claude_desktop_config.json"),
        ("linux", "claude", {"XDG_CONFIG_HOME": "relative"}, "/h/.config/Claude/claude_desktop_config.json"),
        ("win32", "claude", {"APPDATA": "/roaming"}, "/roaming/Claude/claude_desktop_config.json"),
        ("linux", "codex", {"CODEX_HOME": "/codex"}, "/codex/config.toml"),
    ],
)
def test_the_environment_moves_a_file_as_the_client_has_it(platform: str, name: str, environ: dict[str, str], place: str) -> None:
    assert Machine(platform, Path("/h"), environ, Path("/p")).find(scoped(name, None)[1]) == Path(place)


def test_the_usual_scope_is_the_first(user: Path) -> None:
    files = {name: told(sandbox("install", name, "--json"))["file"] for name in ("claude-code", "vscode", "gemini")}
    assert files == {
        "claude-code": f"{user}/project/.mcp.json",
        "vscode": f"{user}/project/.vscode/mcp.json",
        "gemini": f"{user}/.gemini/settings.json",
    }


def test_comments_numbers_and_layout_of_a_file_stay(user: Path) -> None:
    file = user / ".gemini" / "settings.json"
    file.parent.mkdir()
    file.write_text(COMMENTED)
    file.chmod(0o640)
    done = told(sandbox("install", "gemini", "--json"))
    lines = file.read_text().splitlines()
    assert [line for line in lines if line in COMMENTED.splitlines()] == COMMENTED.splitlines()
    assert '    "sandbox": {' in lines
    assert Path(done["backup"]).read_text() == COMMENTED
    assert file.stat().st_mode & 0o777 == 0o640
    told(sandbox("uninstall", "gemini", "--json"))
    assert file.read_text() == COMMENTED


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '{\n  "servers": {\n    "x": {'),
        ("{}", '{\n  "servers": {\n    "x": {'),
        ('{\r\n\t"inputs": []\r\n}\r\n', '{\r\n\t"inputs": [],\r\n\t"servers": {\r\n\t\t"x": {'),
        ('{"servers": {"a": {"url": "u"}}}', '{"servers": {"a": {"url": "u"}, "x": {'),
        ('{\n  "servers": {} // none yet\n}', '{\n  "servers": {\n    "x": {'),
        ('{\n  "servers": {\n    "a": {} // the last\n  }\n}', '{\n  "servers": {\n    "a": {}, // the last\n    "x": {'),
    ],
)
def test_an_entry_goes_where_the_file_has_its_own(user: Path, text: str, after: str) -> None:
    file = user / "project" / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_bytes(text.encode())
    done = told(sandbox("install", "vscode", "--name", "x", "--json"))
    assert file.read_bytes().decode().startswith(after)
    assert done["entry"]["type"] == "stdio"
    told(sandbox("uninstall", "vscode", "--name", "x", "--json"))
    assert "x" not in file.read_text().replace("next", "")
    assert "none yet" in file.read_text() or "none yet" not in text
    assert "the last" in file.read_text() or "the last" not in text


def test_comments_and_tables_of_a_toml_file_stay(user: Path) -> None:
    file = user / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(TOML)
    entry = told(sandbox("install", "codex", "--json"))["entry"]
    assert tomllib.loads(file.read_text())["mcp_servers"]["sandbox"] == entry
    assert [line for line in file.read_text().splitlines() if line in TOML.splitlines()][-2:] == TOML.splitlines()[-2:]
    assert all(line in file.read_text() for line in TOML.splitlines())
    told(sandbox("uninstall", "codex", "--json"))
    assert file.read_text() == TOML


def test_the_last_entry_of_a_toml_file_goes_too(user: Path) -> None:
    told(sandbox("install", "codex", "--json"))
    told(sandbox("uninstall", "codex", "--json"))
    assert tomllib.loads((user / ".codex" / "config.toml").read_text()).get("mcp_servers", {}) == {}


def test_a_link_to_a_configuration_stays_a_link(user: Path) -> None:
    (user / "dotfiles.json").write_text('{"theme": "dark"}')
    (user / ".gemini").mkdir()
    (user / ".gemini" / "settings.json").symlink_to(user / "dotfiles.json")
    told(sandbox("install", "gemini", "--json"))
    assert (user / ".gemini" / "settings.json").is_symlink()
    assert json.loads((user / "dotfiles.json").read_text()).keys() == {"theme", "mcpServers"}


@pytest.mark.parametrize(
    ("link", "target"), [(".cursor", "."), (".cursor/mcp.json", "mine.json"), (".cursor/mcp.json", "new.json")]
)
def test_a_link_in_a_project_leads_nowhere_out_of_it(user: Path, link: str, target: str) -> None:
    (user / "mine.json").write_text("{}")
    place = user / "project" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(user / target)
    before = everything(user)
    for command in ("install", "uninstall"):
        done = sandbox(command, "cursor", "--scope", "project")
        assert (done.returncode, "out of the project" in done.stderr) == (2, True)
    assert everything(user) == before
    assert (user / "mine.json").read_text() == "{}"


def test_what_is_not_installed_is_said_so(user: Path) -> None:
    assert "`sandbox` is not there" in sandbox("uninstall", "gemini").stdout
    assert everything(user) == set()


def test_what_is_written_starts_a_server_from_anywhere(user: Path) -> None:
    words = [str(files_component()), "--policy", f"files={files_component().with_name('policy.yaml')}"]
    words += ["--home", "state", "--print", "--json"]
    entry = told(sandbox("install", PRINTED, *words))["mcpServers"]["sandbox"]
    for name in (name for name in NAMES if name != PRINTED):
        assert told(sandbox("install", name, *words))[client(name).key]["sandbox"] == {**client(name).entry, **entry}
    assert Path(entry["command"]) == Path(program())
    hello = json.dumps(request(1, "initialize", HANDSHAKE)) + "\n"
    # As a client starts it: another folder, next to nothing in the environment.
    started = subprocess.run(
        [entry["command"], *entry["args"]],
        input=hello,
        capture_output=True,
        text=True,
        cwd="/",
        env={"HOME": "/nowhere"},
        timeout=30,
        check=False,
    )
    assert json.loads(started.stdout.splitlines()[0])["result"]["serverInfo"]["name"], started.stderr
    assert (user / "project" / "state" / "run").is_dir()
