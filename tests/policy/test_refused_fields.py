"""Fields that are refused by name: what this host decides otherwise, and what WASI cannot have (unless waived by name)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.refused import IMPOSSIBLE, REFUSED, REFUSED_1

ROOT = Path(__file__).resolve().parents[2]


def refused(text: str, **options: tuple[str, ...]) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, file="p.yaml", **options)
    return caught.value


TWO = [("permissions: {network: {ask: []}}", "ask"), ("permissions: {environment: {ask: []}}", "ask")]
ONE = [("permissions: {runtime: {wasm: {engine: wasmtime, wasi: {inherit_env: true}}}}", "wasm")]
OTHERWISE = [*(("2.0", *one) for one in TWO), *(("1.0", *one) for one in (*TWO, *ONE))]


@pytest.mark.parametrize(("version", "line", "field"), OTHERWISE)
def test_a_field_that_would_be_without_effect_is_refused_by_name(version: str, line: str, field: str) -> None:
    error = refused(f'version: "{version}"\n{line}\n')
    assert len(error.problems) == 1, "the field is the only thing wrong with the document"
    assert f"`{field}` is refused here: " in error.problems[0].message
    assert error.problems[0].where.startswith("p.yaml:2:")
    assert error.problems[0].help


def test_nothing_is_refused_as_not_there_yet() -> None:
    """What a policy may say is enforced, or refused for good and with its reason."""
    files = (path for package in ("policy", "template") for path in (ROOT / "sandbox" / package).rglob("*.py"))
    assert not [path for path in files if re.search(r"` is not \w+ yet", path.read_text())]


def test_every_entry_of_the_tables_has_a_row_here() -> None:
    assert {str(path[-1]) for path in REFUSED} == {field for _, field in TWO}
    assert {str(path[-1]) for path in REFUSED_1} == {field for _, field in ONE}
    assert set(IMPOSSIBLE.values()) == {field for _, field in NEVER if field != "execute"} | {"execute"}


NEVER = [
    ("permissions: {ipc: {allow: []}}", "ipc"),
    ("permissions: {runtime: {docker: {security: {}}}}", "runtime.docker"),
    ("permissions: {runtime: {hyperlight: {}}}", "runtime.hyperlight"),
    ("permissions: {execute: {allow: [sh]}}", "execute"),
    ("permissions: {storage: {allow: [{uri: fs:///srv/a, access: [read, execute]}]}}", "execute"),
]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(("line", "field"), NEVER[:4])
def test_what_wasi_cannot_have_is_refused_and_may_be_waived_by_name(line: str, field: str, version: str) -> None:
    text = f'version: "{version}"\n{line}\n'
    error = refused(text)
    assert f"`{field}` is refused: WASI has no such thing to grant" in str(error)
    assert f"--waive {field}" in str(error)
    document = load_policy(text, file="p.yaml", waive=(field,))
    assert [(waiver.field, waiver.origin.split(":")[1]) for waiver in document.waivers] == [(field, "2")]


def test_execute_as_an_access_may_be_waived_too() -> None:
    text = f'version: "2.0"\n{NEVER[4][0]}\n'
    assert "`execute` is refused" in str(refused(text))
    document = load_policy(text, file="p.yaml", waive=("execute",))
    assert document.permissions.storage.allow[0].access == ("read",)
    assert document.waivers[0].field == "execute"


def test_a_waiver_covers_its_field_alone() -> None:
    text = 'version: "2.0"\npermissions: {ipc: {}, runtime: {docker: {}}}\n'
    assert "runtime.docker" in str(refused(text, waive=("ipc",)))


@pytest.mark.parametrize("field", ["ask", "cpu", "storage", "runtime", ""])
def test_what_is_not_enforced_yet_cannot_be_waived(field: str) -> None:
    assert "cannot be waived" in str(refused('version: "2.0"\n', waive=(field,)))


def test_a_waiver_is_part_of_the_digest() -> None:
    text = 'version: "2.0"\npermissions: {ipc: {}}\n'
    assert load_policy(text, file="p", waive=("ipc",)).digest != load_policy('version: "2.0"\n', file="p").digest
