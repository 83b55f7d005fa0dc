"""`sandbox policy` with a component: get, set, rollback, versions, and what it may do with its grants."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.commands import Done, sandbox
from tests.support.components import files_component

HEAD = 'version: "2.0"\npermissions:\n'


def reads(folder: Path, access: str = "read") -> str:
    return HEAD + f'  storage:\n    allow:\n      - uri: "fs://{folder}/**"\n        access: [{access}]\n        mount: /data\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `files` ran once under a policy that reads."""
    folder = tmp_path_factory.mktemp("changes")
    (folder / "data").mkdir()
    write(folder, "first.yaml", reads(folder / "data"))
    done = sandbox("tool", "list", str(files_component()), "--policy", str(folder / "first.yaml"), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(made / "home", tmp_path / "home", copy_function=shutil.copy2)
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def run(folder: Path, *words: str) -> Done:
    return sandbox("policy", *words, folder=folder)


def test_a_policy_that_is_refused_leaves_the_last_good_one_in_force(folder: Path, made: Path) -> None:
    for text in (HEAD + "  netwrok: {}\n", HEAD + '  storage: {allow: [{uri: "fs:///proc/**", access: [read]}]}\n', "a: b: c\n"):
        done = run(folder, "set", "files", write(folder, "bad.yaml", text))
        assert done.returncode == 3
        assert "bad.yaml" in done.stderr
        assert "nothing has changed: version 1, `first.yaml`, stays in force" in done.stderr
    # A document that is well formed, and does not hold here.
    own = write(folder, "own.yaml", reads(folder / "home"))
    done = run(folder, "set", "files", own)
    assert done.returncode == 3
    assert "the host's own" in done.stderr
    assert run(folder, "explain", "files", "--read", str(made / "data/x")).returncode == 0
    assert len(json.loads(run(folder, "versions", "files", "--json").stdout)) == 1


def test_a_component_that_nobody_knows_is_told_so(folder: Path) -> None:
    for words in (("get", "nope"), ("set", "nope", "deny-all"), ("rollback", "nope"), ("versions", "nope")):
        done = run(folder, *words)
        assert done.returncode == 2, words
        assert "nope" in done.stderr
    assert "no component and no policy named `nope`" in run(folder, "explain", "nope", "--env", "A").stderr


def test_setting_shows_what_changes_and_the_receipt(folder: Path, made: Path) -> None:
    more = write(folder, "more.yaml", reads(made / "data", "read, write"))
    tried = run(folder, "set", "files", more, "--dry-run")
    assert tried.returncode == 0
    assert f"write {made}/data/example" in tried.stdout
    assert run(folder, "explain", "files", "--write", str(made / "data/x")).returncode == 1
    done = run(folder, "set", "files", more)
    assert done.returncode == 0
    assert f"write {made}/data/example" in done.stdout
    assert "version 2 of its policy" in done.stdout
    assert run(folder, "explain", "files", "--write", str(made / "data/x")).returncode == 0
    told = json.loads(run(folder, "set", "files", "deny-all", "--json").stdout)
    assert told["version"] == 3
    assert told["receipt"]["component"] == "files"
    assert {each["kind"] for each in told["differences"]} == {"storage", "mount"}


def test_an_earlier_version_is_put_back_and_is_a_version_of_its_own(folder: Path, made: Path) -> None:
    run(folder, "set", "files", write(folder, "more.yaml", reads(made / "data", "read, write")))
    run(folder, "set", "files", "deny-all")
    done = run(folder, "rollback", "files", "--to", "2", "--yes")
    assert done.returncode == 0
    assert "version 3 (now)" in done.stdout
    assert "version 2 (again)" in done.stdout
    assert run(folder, "explain", "files", "--write", str(made / "data/x")).returncode == 0
    versions = json.loads(run(folder, "versions", "files", "--json").stdout)
    assert [(each["version"], each["in_force"]) for each in versions] == [(1, False), (2, False), (3, False), (4, True)]
    assert versions[3]["text"] == versions[1]["text"]
    refused = run(folder, "rollback", "files", "--to", "9")
    assert refused.returncode == 3
    assert "the versions are: 1, 2, 3, 4" in refused.stderr


def test_what_a_rollback_gives_is_shown_and_needs_somebodys_word(folder: Path, made: Path) -> None:
    run(folder, "set", "files", "deny-all")
    for more in ((), ("--json",)):
        refused = run(folder, "rollback", "files", *more)
        assert refused.returncode == 2
        assert "nothing is put back: version 1 gives `files` more than it has now" in refused.stderr + refused.stdout
    assert len(json.loads(run(folder, "versions", "files", "--json").stdout)) == 2
    assert "allowed (first.yaml:5:9)" in run(folder, "rollback", "files").stdout
    assert run(folder, "rollback", "files", "--yes").returncode == 0
    # Back again takes away, and needs nobody's word.
    assert run(folder, "rollback", "files").returncode == 0
    assert run(folder, "explain", "files", "--read", str(made / "data/y")).returncode == 1


def test_what_holds_is_shown_with_the_line_or_the_grant_that_it_comes_from(folder: Path, made: Path) -> None:
    grant = sandbox("permission", "grant", "files", "environment", "LANG", "--json", folder=folder)
    told = json.loads(run(folder, "get", "files", "--json").stdout)
    origins = {rule["line"]: rule["origin"] for rule in told["rules"]}
    assert origins[f"allow read on {made}/data/**"] == "first.yaml:5:9"
    assert origins["allow LANG, as the host has it"] == f"grant {json.loads(grant.stdout)['id']}"
    assert "first.yaml:5:9" in run(folder, "get", "files").stdout


def test_explain_of_a_component_counts_its_grants_and_gives_the_command(folder: Path, made: Path) -> None:
    asked = ("explain", "files", "--write", str(made / "data/x"), "--env", "LANG")
    before = run(folder, *asked, "--json")
    assert before.returncode == 1
    commands = [each["advice"]["command"].split(" ")[1:] for each in json.loads(before.stdout)]
    assert commands[1] == ["permission", "grant", "files", "environment", "LANG"]
    for command in commands:
        assert sandbox(*command, folder=folder).returncode == 0
    after = run(folder, *asked)
    assert after.returncode == 0
    assert "allowed by grant g-" in after.stdout


def test_a_deny_that_was_granted_is_taken_back_by_the_command_that_is_given(folder: Path, made: Path) -> None:
    asked = ("explain", "files", "--read", str(made / "data/x"))
    sandbox("permission", "grant", "files", "storage", f"fs://{made}/data/x", "--access", "read", "--deny", folder=folder)
    (said,) = json.loads(run(folder, *asked, "--json").stdout)
    assert not said["allowed"]
    assert sandbox(*said["advice"]["command"].split(" ")[1:], folder=folder).returncode == 0
    assert run(folder, *asked).returncode == 0


def test_a_file_is_compared_with_what_a_component_has(folder: Path, made: Path) -> None:
    same = write(folder, "same.yaml", reads(made / "data"))
    assert run(folder, "diff", "files", same).returncode == 0
    sandbox("permission", "grant", "files", "environment", "LANG", folder=folder)
    # The grant stays with the component, whatever the document: it is no difference between the two.
    assert run(folder, "diff", same, "files").returncode == 0
    done = run(folder, "diff", "files", "deny-all", "--json")
    assert done.returncode == 1
    assert {each["kind"] for each in json.loads(done.stdout)["differences"]} == {"storage", "mount"}


def test_a_waiver_stays_with_what_was_accepted(folder: Path) -> None:
    text = HEAD + "  ipc: {}\n  environment: {allow: [{key: LANG}]}\n"
    file = write(folder, "waived.yaml", text)
    assert run(folder, "set", "files", file).returncode == 3
    assert run(folder, "set", "files", file, "--waive", "ipc").returncode == 0
    told = json.loads(run(folder, "get", "files", "--json").stdout)
    assert told["waivers"] == ["waived.yaml:3:3: `ipc`"]
    assert any(rule["enforced_by"] == "nothing: waived" for rule in told["rules"])
    run(folder, "set", "files", "deny-all")
    assert run(folder, "rollback", "files", "--yes").returncode == 0
    assert json.loads(run(folder, "get", "files", "--json").stdout)["waivers"] == ["waived.yaml:3:3: `ipc`"]


def test_a_text_cannot_waive_for_itself(folder: Path) -> None:
    text = HEAD + "  ipc: {}\n# waived by who accepted this: ipc\n"
    assert run(folder, "set", "files", write(folder, "sly.yaml", text)).returncode == 3


def test_a_components_old_policy_is_migrated_in_place(folder: Path, made: Path) -> None:
    old = f'version: "1.0"\npermissions:\n  storage:\n    allow:\n      - uri: "fs://{made}/data"\n        access: [read]\n'
    run(folder, "set", "files", write(folder, "old.yaml", old))
    printed = run(folder, "migrate", "files")
    assert 'version: "2.0"' in printed.stdout
    assert len(json.loads(run(folder, "versions", "files", "--json").stdout)) == 2
    done = run(folder, "migrate", "files", "--set")
    assert done.returncode == 0
    assert "no difference was found" in done.stderr
    assert json.loads(run(folder, "get", "files", "--json").stdout)["text"] == printed.stdout


def test_a_component_runs_under_a_policy_with_a_waiver_only_where_it_is_waived(folder: Path) -> None:
    file = write(folder, "waived.yaml", HEAD + "  ipc: {}\n")
    words = ("tool", "list", str(files_component()), "--policy", file)
    assert sandbox(*words, folder=folder).returncode == 3
    done = sandbox(*words, "--waive", "ipc", folder=folder)
    assert done.returncode == 0
    assert "is waived: it has no effect" in done.stderr
    assert "`storage` cannot be waived" in sandbox(*words, "--waive", "storage", folder=folder).stderr
    assert json.loads(run(folder, "get", "files", "--json").stdout)["waivers"] == ["waived.yaml:3:3: `ipc`"]


def test_what_the_ceiling_takes_from_a_component_is_said_to_be_the_ceilings(folder: Path) -> None:
    file = write(folder, "wide.yaml", HEAD + '  network: {allow: [{host: "*.a.test"}]}\n')
    most = write(folder, "most.yaml", HEAD + "  network: {allow: [{host: b.a.test}]}\n")
    assert run(folder, "set", "files", file).returncode == 0
    asked = ("explain", "files", "--url", "https://c.a.test/")
    assert run(folder, *asked).returncode == 0
    done = run(folder, *asked, "--ceiling", most)
    assert done.returncode == 1
    assert "the policy allows it, the ceiling does not" in done.stdout
    assert "widen the ceiling" in done.stderr
    assert run(folder, "explain", "files", "--url", "https://b.a.test/", "--ceiling", most).returncode == 0


def test_a_policy_that_does_not_hold_here_any_more_is_said_and_can_be_replaced(
    folder: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSPACE", str(made / "data"))
    assert run(folder, "set", "files", "workspace").returncode == 0
    monkeypatch.delenv("WORKSPACE")
    done = run(folder, "explain", "files", "--env", "LANG")
    assert done.returncode == 3
    assert "is granted nothing here" in done.stderr
    assert "the host has no variable `WORKSPACE`" in done.stderr
    assert run(folder, "set", "files", "deny-all").returncode == 0
    assert run(folder, "explain", "files", "--env", "LANG").returncode == 1


def test_a_folder_that_has_a_components_name_is_not_in_its_way(folder: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "files").mkdir()
    monkeypatch.chdir(folder)
    assert run(folder, "explain", "files", "--read", str(made / "data/x")).returncode == 0
