"""Documents of the existing ecosystem run unchanged with every line enforced, or are refused whole with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.refused import IMPOSSIBLE, REFUSED_1
from sandbox.policy.schema import policy_schema_1
from sandbox.policy.version1 import Document1
from tests.template.compiling import compiled_document

FOLDER = Path(__file__).parent / "ecosystem"
RUN = sorted(path.name for path in (FOLDER / "runs").glob("*.yaml"))
REFUSED = sorted(path.name for path in (FOLDER / "refused").glob("*.yaml"))
WAIVED = {"messages.yaml": "ipc"}


def mine(folder: Path, tmp_path: Path, name: str) -> Path:
    """A copy that nobody else may write, whatever the checkout's umask was."""
    path = tmp_path / name
    path.write_bytes((folder / name).read_bytes())
    path.chmod(0o600)
    return path


def entries(document: PolicyDocument) -> list[str]:
    return [entry.origin for _, _, found in document.sections() for entry in found]


@pytest.mark.parametrize("name", RUN)
def test_a_document_that_runs_has_every_line_in_force(name: str, tmp_path: Path) -> None:
    path = mine(FOLDER / "runs", tmp_path, name)
    document = load_policy_file(path)
    assert document.written_version == "1.0"
    written = len(re.findall(r"^\s+- \"?(?:uri|host|cidr|key)\b", path.read_text(), re.MULTILINE))
    assert len(entries(document)) == written
    notes = compiled_document(document).notes
    for origin in entries(document):
        assert [note.enforced_by for note in notes if note.origin == origin], f"{origin} has no effect"


@pytest.mark.parametrize("name", REFUSED)
def test_a_document_that_is_refused_says_every_reason(name: str, tmp_path: Path) -> None:
    path = mine(FOLDER / "refused", tmp_path, name)
    reasons = path.read_text().partition("\n")[0].removeprefix("# ").split("|")
    with pytest.raises(PolicyError) as caught:
        load_policy_file(path)
    problems = caught.value.problems
    assert len(problems) == len(reasons), str(caught.value)
    assert all(any(reason in problem.message for problem in problems) for reason in reasons), str(caught.value)
    assert all(problem.help for problem in problems)
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+$", problem.where) for problem in problems)


@pytest.mark.parametrize("name", sorted(WAIVED))
def test_a_waived_field_has_no_effect_and_is_shown(name: str, tmp_path: Path) -> None:
    path = mine(FOLDER / "refused", tmp_path, name)
    document = load_policy_file(path, waive=(WAIVED[name],))
    compiled = compiled_document(document)
    assert [waiver.field for waiver in document.waivers] == [WAIVED[name]]
    assert any("is waived: it has no effect" in warning for warning in compiled.warnings)
    assert any(note.enforced_by == "nothing: waived" for note in compiled.notes)


def test_a_host_beside_a_deny_of_every_address_is_told_that_it_is_allowed_in_vain(tmp_path: Path) -> None:
    """Elsewhere the name wins; here a deny does, and who relied on that is told."""
    path = tmp_path / "p.yaml"
    path.write_text(
        'version: "1.0"\npermissions:\n  network:\n    allow:\n      - host: a.example\n    deny:\n      - cidr: 0.0.0.0/0\n'
    )
    path.chmod(0o600)
    (warning,) = load_policy_file(path).warnings
    assert "`a.example` is allowed for its IPv6 addresses alone: the deny at" in warning
    path.write_text(path.read_text() + "      - cidr: ::/0\n")
    (warning,) = load_policy_file(path).warnings
    assert "in vain" in warning


def test_every_key_of_the_public_schema_is_read_or_refused_by_name() -> None:
    """The sections of the published schema: each is a field here, or has its reason in `refused`."""
    named = {path[1] for path in (*IMPOSSIBLE, *REFUSED_1)} | set(Document1.model_fields["permissions"].annotation.model_fields)
    assert {"storage", "network", "environment", "runtime", "resources", "ipc"} <= named


@pytest.mark.parametrize("name", RUN)
def test_the_published_schema_takes_what_runs(name: str) -> None:
    data = yaml.safe_load((FOLDER / "runs" / name).read_text())
    jsonschema.validate(data, policy_schema_1(), jsonschema.Draft202012Validator)


def test_the_published_schema_of_version_1_refuses_what_is_no_part_of_it() -> None:
    for permissions in ({"netwrok": {}}, {"runtime": {"docker": {}}}, {"network": {"allow": [{"defaults": True}]}}):
        document = {"version": "1.0", "permissions": permissions}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, policy_schema_1(), jsonschema.Draft202012Validator)
