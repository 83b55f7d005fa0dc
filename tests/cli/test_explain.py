"""`sandbox explain`: one answer for a call and for what it may touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Done, sandbox
from tests.support.components import files_component

DOCUMENT = """version: "1.0"
roles:
  reader: {permissions: [{resource: "tools/files__read", actions: [invoke]}]}
rules:
  - {name: no-secrets, effect: deny, priority: 5, when: {arguments.path: {contains: secret}}}
assignments: {ann: [reader]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a component, and an admission document."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "admission.yaml").write_text(DOCUMENT)
    (folder / "admission.yaml").chmod(0o600)
    assert sandbox("component", "load", str(files_component()), "--accept", folder=folder).returncode == 0
    return folder


def asked(folder: Path, *words: str) -> Done:
    return sandbox("explain", *words, "--document", str(folder / "admission.yaml"), folder=folder)


def told(folder: Path, *words: str) -> dict[str, Any]:
    return dict(json.loads(asked(folder, *words, "--json").stdout))


def test_nothing_asked_is_told_what_to_ask(folder: Path) -> None:
    done = asked(folder, "files")
    assert (done.returncode, "name a tool" in done.stderr) == (2, True)


def test_a_call_is_refused_with_what_would_allow_it(folder: Path) -> None:
    """Text for a person, the same as data; exit code 1."""
    done = asked(folder, "files__read", "path=/x", "--subject", "ben")
    assert done.returncode == 1
    assert done.stdout.startswith("deny: roles of the subject: none; none of them permits it\n")
    assert "give `ben` the role `reader`: then the answer is allow" in done.stderr
    assert "`sandbox role assign ben reader`" in done.stderr
    call = told(folder, "files__read", "path=/x", "--subject", "ben")["call"]
    assert (call["effect"], call["rules"], call["change"]["answer"]) == ("deny", ["roles"], "allow")


def test_a_call_is_allowed_with_every_rule_that_was_considered(folder: Path) -> None:
    call = told(folder, "files__read", "path=/x", "--subject", "ann")["call"]
    assert call["effect"] == "allow"
    assert {(one["name"], one["matched"], one["decided"]) for one in call["considered"]} == {
        ("role:reader", True, True),
        ("no-secrets", False, False),
    }
    assert asked(folder, "files__read", "path=/x", "--subject", "ann").returncode == 0
    assert told(folder, "files__read", "path=/secret", "--subject", "ann")["call"]["rules"] == ["no-secrets"]


def test_scopes_are_those_that_are_named(folder: Path) -> None:
    call = told(folder, "files__read", "path=/x", "--subject", "ann", "--scope", "tools:read")["call"]
    assert call["rules"] == ["scope:tools:invoke"]


def test_an_effect_is_explained_in_the_same_form(folder: Path) -> None:
    """With the rules of its section, the line that decided, and the grant that would allow it."""
    allowed = folder / "home" / "data" / "files" / "workspace" / "a.txt"
    effects = told(folder, "files__read", "path=/x", "--subject", "ann", "--read", "/etc/passwd", "--read", str(allowed))[
        "effects"
    ]
    assert [each["effect"] for each in effects] == ["deny", "allow"]
    assert [[one["matched"] for one in each["considered"]] for each in effects] == [[False], [True]]
    assert [one["decided"] for one in effects[1]["considered"]] == [True]
    assert effects[0]["change"]["commands"] == ["sandbox permission grant files storage fs:///etc/passwd --access read"]
    assert effects[0].keys() == {"effect", "rules", "reason", "considered", "change"}
    assert asked(folder, "files", "--read", str(allowed)).returncode == 0


def test_without_a_document_every_call_of_a_tool_is_allowed(folder: Path) -> None:
    done = sandbox("explain", "files__read", folder=folder)
    assert done.stdout.startswith("allow: the permissive document allows every call")


def test_a_stop_and_a_role_that_was_given_are_part_of_the_answer(folder: Path) -> None:
    """Also where nothing runs: what holds for the next call is explained."""
    config = ("--config", str(folder / "sandbox.yaml"))
    (folder / "sandbox.yaml").write_text("admission: admission.yaml\n")
    (folder / "sandbox.yaml").chmod(0o600)
    assert sandbox("explain", "files__read", "path=/x", "--subject", "dan", *config, folder=folder).returncode == 1
    assert sandbox("role", "assign", "dan", "reader", *config, folder=folder).returncode == 0
    assert sandbox("explain", "files__read", "path=/x", "--subject", "dan", *config, folder=folder).returncode == 0
    assert sandbox("stop", "--all", *config, folder=folder).returncode == 0
    done = sandbox("explain", "files__read", "path=/x", "--subject", "dan", *config, folder=folder)
    assert done.stdout.startswith("deny: every call is stopped")
    assert "`sandbox resume --all`" in done.stderr
    assert sandbox("resume", "--all", *config, folder=folder).returncode == 0


def test_a_budget_that_is_used_up_is_part_of_the_answer(folder: Path) -> None:
    """It names its line."""
    (folder / "used-up.yaml").write_text("admission: permissive\nbudgets: {users: {local: {max_requests: 1, period: month}}}\n")
    (folder / "used-up.yaml").chmod(0o600)
    config = ("--config", str(folder / "used-up.yaml"))
    assert sandbox("tool", "call", "files__info", "path=/workspace", *config, folder=folder).returncode == 0
    done = sandbox("explain", "files__info", *config, "--json", folder=folder)
    call = json.loads(done.stdout)["call"]
    assert (call["effect"], call["rules"]) == ("deny", ["budgets.users.local.max_requests"])
