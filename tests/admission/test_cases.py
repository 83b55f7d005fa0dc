"""The cases of an admission document: the worked examples hold, and a case that is not as expected is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.admission.decision import Ruling
from sandbox.admission.document.cases import load_cases, tried
from sandbox.errors import PolicyError
from sandbox.policy.named import admission_names

SHIPPED = Path(__file__).resolve().parents[2] / "policies" / "admission"
EXAMPLES = ("public-server", "regulated", "small-team")
CASE = "cases:\n  - {name: one, subject: {id: ann}, tool: a__b, expect: deny"


def written(folder: Path, text: str) -> Path:
    path = folder / "cases.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []\n", "`document` is missing"),
        ("document: small-tea\n" + CASE + "}\n", "did you mean `small-team`"),
        ("document: none.yaml\n" + CASE + "}\n", "there is no such file"),
        ("document: strict\ncases: []\n", "cases: "),
        ("document: strict\n" + CASE + ", expct: x}\n", "did you mean `expect`?"),
        ("document: strict\n" + CASE.replace("tool: a__b, ", "") + "}\n", "for a tool or an action"),
        ("document: strict\n" + CASE + ", becomes: x}\n", "there is none"),
        ("document: strict\n" + CASE + ", usage: {spent: 1}}\n", "this is no count"),
        ("document: strict\n" + CASE + ", arguments: {at: 2024-01-01}}\n", "a date"),
        ("[]\n", "no mapping"),
    ],
)
def test_cases_that_are_none_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PolicyError, match=r"(?s).*") as refused:
        load_cases(written(tmp_path, text))
    assert said in str(refused.value)


def test_what_is_not_as_expected_is_told_with_the_reason(tmp_path: Path) -> None:
    text = (
        "document: own.yaml\ncases:\n"
        "  - {name: one, subject: {id: ann}, tool: a__b, expect: allow}\n"
        "  - {name: two, subject: {id: ann}, tool: a__b, expect: deny, by: [other]}\n"
        "  - {name: three, subject: {id: ann}, tool: a__b, result: a secret, expect: allow, becomes: a secret}\n"
        "  - {name: four, subject: {id: ann}, tool: a__b, arguments: {n: 1.5}, expect: deny, by: [much]}\n"
    )
    (tmp_path / "own.yaml").write_text(
        'version: "1.0"\ntemplate: permissive\n'
        "rules: [{name: much, effect: deny, when: {any: [{arguments.n: {exists: false}}, {arguments.n: {gt: 1.4}}]}}]\n"
        "content: [{pattern: secret, where: [result], action: redact}]\n"
    )
    results = tried(*load_cases(written(tmp_path, text)))
    assert [one.wrong for one in results] == [
        "deny instead of allow: the rule `much` denies it",
        "decided by much instead of other",
        "the result becomes 'a [REDACTED:SECRET]'",
        None,
    ]
    assert results[0].case.origin.endswith("cases.yaml:3:5")


@pytest.mark.parametrize("name", [path.stem for path in sorted((SHIPPED / "tests").glob("*.yaml"))])
def test_every_case_that_ships_holds(name: str) -> None:
    cases, document = load_cases(SHIPPED / "tests" / f"{name}.yaml")
    results = tried(cases, document)
    assert [f"{one.case.origin}: {one.wrong}" for one in results if one.wrong is not None] == []
    if name in EXAMPLES:
        assert len(results) >= 15
        assert {one.effect for one in results} >= {Ruling.ALLOW, Ruling.DENY}
        assert {rule.name for rule in document.rules} <= {rule for one in results for rule in one.rules} | {
            "what-is-read-is-kept"
        }


def test_each_worked_example_has_cases_and_each_document_that_has_cases_ships() -> None:
    with_cases = {path.stem for path in (SHIPPED / "tests").glob("*.yaml")}
    assert set(EXAMPLES) <= with_cases <= set(admission_names())
