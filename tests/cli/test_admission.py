"""`sandbox admission`: documents are checked, tried, listed and described."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.commands import sandbox

SHIPPED = Path(__file__).resolve().parents[2] / "policies" / "admission"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


BROKEN = 'version: "1.0"\ntemplate: stict\nrules: [{name: a, effect: deny, when: {tol: x}}]\n'


def test_check_says_all_that_is_wrong_and_where(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BROKEN)
    done = sandbox("admission", "check", "a.yaml", folder=tmp_path)
    assert done.returncode == 3
    assert "a.yaml:2:11: template: `stict` is no template" in done.stderr
    assert "a.yaml:3:40: rules[0].when.tol: `tol` is no field" in done.stderr
    told = json.loads(sandbox("admission", "check", "a.yaml", "--json", folder=tmp_path).stdout)
    assert [problem["help"] for problem in told["error"]["problems"]] == ["did you mean `strict`?", "did you mean `tool`?"]


def test_check_says_what_a_document_holds(tmp_path: Path) -> None:
    done = sandbox("admission", "check", "small-team", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "ok: small-team: strict; 3 roles, 2 actions, 2 rules, 3 content\n")


def test_test_tries_every_case_and_says_which_are_not_as_expected(tmp_path: Path) -> None:
    assert sandbox("admission", "test", str(SHIPPED / "tests" / "small-team.yaml")).returncode == 0
    (tmp_path / "cases.yaml").write_text(
        "document: strict\ncases:\n  - {name: one, subject: {id: a}, tool: b__c, expect: allow}\n"
    )
    done = sandbox("admission", "test", "cases.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "cases.yaml:3:5: one: deny instead of allow: no section speaks of it, and the template is strict",
        "cases.yaml: 1 of 1 cases are not as expected",
    ]
    told = json.loads(sandbox("admission", "test", "cases.yaml", "--json", folder=tmp_path).stdout)
    assert (told["ok"], told["cases"][0]["decision"], told["cases"][0]["rules"]) == (False, "deny", ["default"])
    assert sandbox("admission", "test", "none.yaml", folder=tmp_path).returncode == 3


def test_templates_lists_what_ships_and_prints_one() -> None:
    told = json.loads(sandbox("admission", "templates", "--json").stdout)
    assert {one["name"] for one in told} == {path.stem for path in SHIPPED.glob("*.yaml")}
    assert all(one["description"] for one in told)
    assert sandbox("admission", "templates", "strict").stdout == (SHIPPED / "strict.yaml").read_text()
    done = sandbox("admission", "templates", "strickt")
    assert done.returncode == 3
    assert "did you mean `strict`?" in done.stderr


def test_the_schema_is_one_and_an_editor_is_told_how_to_use_it(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(sandbox("admission", "schema").stdout))
    done = sandbox("admission", "schema", "--output", "a.json", folder=tmp_path)
    assert "# yaml-language-server: $schema=a.json" in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["properties"]["template"]


def test_the_configuration_names_the_document_and_a_call_is_refused(tmp_path: Path) -> None:
    """From `sandbox.yaml` to a refusal at the terminal, with the rule's own message."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "sandbox.yaml").write_text("admission: ./who.yaml\n")
    (tmp_path / "etc" / "who.yaml").write_text(
        'version: "1.0"\ntemplate: permissive\n'
        "rules: [{name: no-bells, effect: deny, when: {arguments.x: bell}, message: bells are for christmas}]\n"
    )
    guest = Path(__file__).resolve().parents[1] / "guests" / "every_type" / "every_type.wasm"
    shared = ("--config", "etc/sandbox.yaml")
    words = ("tool", "call", str(guest), "every_type__echo-string")
    denied = sandbox(*words, "x=bell", *shared, folder=tmp_path)
    assert denied.returncode == 1
    assert "bells are for christmas" in denied.stderr
