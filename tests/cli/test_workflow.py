"""`sandbox workflow`: a policy for several components, loaded and unloaded in a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.exits import Exit
from tests.support.commands import sandbox
from tests.support.components import files_component


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one component, which has nothing; and a document that shares a folder with it."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "shared").mkdir()
    (folder / "shared/x.txt").write_text("content")
    write(folder, "team.yaml", f"    - {{uri: fs://{folder}/shared/**, access: [read], mount: /team}}\n")
    write(folder, "wrong.yaml", "    - {uri: fs:///srv/**, access: [raed]}\n")
    done = sandbox("component", "load", str(files_component()), "--accept", "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return folder


def write(folder: Path, name: str, storage: str) -> None:
    head = 'version: "2.0"\nscope: workflow\ncomponents: [files, other]\nshared_permissions:\n  storage:\n'
    (folder / name).write_text(head + storage)
    (folder / name).chmod(0o600)


def told(*words: str, folder: Path) -> Any:
    done = sandbox(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def test_a_workflow_is_checked_loaded_listed_and_unloaded(folder: Path) -> None:
    file = str(folder / "team.yaml")
    assert told("workflow", "check", file, folder=folder)["components"] == ["files", "other"]
    loaded = told("workflow", "load", file, folder=folder)
    digest = told("policy", "get", "files", folder=folder)["digest"]
    assert (loaded["name"], loaded["holders"]) == ("team", {"files": [f"sha256:{digest}"], "other": []})
    (held,) = told("workflow", "list", folder=folder)
    assert (held["name"], held["file"], held["components"]) == ("team", "team.yaml", ["files", "other"])
    (entry,) = held["entries"]
    assert (entry["section"], entry["effect"], entry["access"]) == ("storage", "allow", ["read"])
    listed = sandbox("workflow", "list", folder=folder).stdout
    assert listed.startswith("team  for files, other  (team.yaml, by ")
    assert held["holders"] == loaded["holders"]
    assert f"  files: sha256:{digest}\n" in listed
    assert "  other: nothing: no component had that name; once it is there, load `team.yaml` again\n" in listed
    assert told("workflow", "unload", "team", folder=folder)["name"] == "team"
    assert told("workflow", "list", folder=folder) == []


def test_what_is_wrong_with_it_is_said_with_its_place(folder: Path) -> None:
    for action in ("check", "load"):
        done = sandbox("workflow", action, str(folder / "wrong.yaml"), folder=folder)
        assert done.returncode == Exit.DOCUMENT
        assert "wrong.yaml:6:36: shared_permissions.storage[0].access[0]: `raed` is no access" in done.stderr
        assert "did you mean `read`?" in done.stderr


def test_a_policy_of_one_component_is_told_apart(folder: Path) -> None:
    done = sandbox("policy", "check", str(folder / "team.yaml"), folder=folder)
    assert done.returncode == Exit.DOCUMENT
    assert "`sandbox workflow load FILE` has it hold" in done.stdout + done.stderr


def test_a_workflow_that_is_not_loaded_is_not_found(folder: Path) -> None:
    done = sandbox("workflow", "unload", "teem", folder=folder)
    assert done.returncode == Exit.USAGE
    assert "no workflow `teem` is loaded" in done.stderr
