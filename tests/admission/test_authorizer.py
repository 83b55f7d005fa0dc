"""Who may ask: a denial has its reason, an error in a check is a denial, and only the authorizer makes an admission."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import sandbox
from sandbox.admission import (
    Admission,
    Authorizer,
    CallRequest,
    Decision,
    Ruling,
    Subject,
    Usage,
    authorizer,
    canonical_json,
    digest_of,
    new_request_id,
)
from sandbox.admission.document.models import AdmissionDocument
from sandbox.errors import PolicyError
from sandbox.wit.types import Digest

NOW = 1_800_000_000.0


@pytest.fixture
def request_() -> CallRequest:
    return CallRequest(
        new_request_id(), Subject.local(), "files__read", "files", Digest("d" * 64), digest_of(b"{}"), "generation"
    )


def test_a_call_of_a_tool_that_is_not_loaded_is_denied(request_: CallRequest) -> None:
    verdict = Authorizer().admit(replace(request_, digest=None), now=NOW)
    assert verdict.admission is None
    assert verdict.decision == Decision(Ruling.DENY, ("tool-is-loaded",), "no loaded component has this tool")


def test_an_unknown_document_is_refused() -> None:
    with pytest.raises(PolicyError, match="did you mean `strict`"):
        Authorizer("strickt")


class Broken:
    """A check that fails."""

    name = "broken"
    priority = -1

    def check(self, request: CallRequest, usage: Usage) -> Ruling | None:
        raise KeyError(request.tool)


def test_an_error_in_a_check_is_a_denial(request_: CallRequest) -> None:
    verdict = Authorizer(checks=(Broken(),)).admit(request_, now=NOW)
    assert verdict.admission is None
    assert verdict.decision.rules == ("rules",)
    assert "KeyError" in verdict.decision.reason
    assert "files__read" not in verdict.decision.reason


def test_what_no_section_allows_is_denied(request_: CallRequest) -> None:
    assert Authorizer(AdmissionDocument(version="1.0")).evaluate(request_, now=NOW).effect is Ruling.DENY


def test_nobody_else_makes_an_admission(request_: CallRequest) -> None:
    decision = Decision(Ruling.ALLOW, ("me",), "I say so")
    for key in (None, object(), authorizer._Key()):
        with pytest.raises(TypeError):
            Admission(request_, decision, NOW, key=key)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Admission(request_, decision, NOW)  # type: ignore[call-arg]


def test_not_even_the_authorizer_makes_one_of_a_denial(request_: CallRequest) -> None:
    for request, effect in ((request_, Ruling.DENY), (replace(request_, digest=None), Ruling.ALLOW)):
        with pytest.raises(TypeError, match="allowing decision"):
            Admission(request, Decision(effect, (), ""), NOW, key=authorizer._KEY)


def test_an_admission_cannot_be_changed_copied_or_pickled(request_: CallRequest) -> None:
    admission = Authorizer().admit(request_, now=NOW).admission
    assert admission is not None
    with pytest.raises(AttributeError):
        admission.tool = "other"  # type: ignore[misc]
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(admission)
    with pytest.raises(FrozenInstanceError):
        request_.tool = "other"  # type: ignore[misc]


SNIPPET = """
from sandbox.admission import Admission, Authorizer, CallRequest
from sandbox.admission.decision import Decision

def invoke(admission: Admission) -> None: ...

def forgot(request: CallRequest) -> None:
    invoke(request)
    invoke(Authorizer().evaluate(request, now=0.0))
    invoke(Authorizer().admit(request, now=0.0).admission)
    invoke(Admission())
"""


def test_forgetting_the_check_is_a_type_error(tmp_path: Path) -> None:
    (tmp_path / "forgot.py").write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "forgot.py"]
    environment = {**os.environ, "MYPYPATH": str(Path(sandbox.__file__).parents[1])}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    lines = found.stdout.splitlines()
    assert [line.split(":")[1] for line in lines if ": error:" in line] == ["8", "9", "10", "11", "11"], (
        found.stdout + found.stderr
    )


def test_an_allowed_call_carries_what_was_decided(request_: CallRequest) -> None:
    admission = Authorizer().admit(request_, now=NOW).admission
    assert admission is not None
    assert (admission.request_id, admission.subject, admission.tool) == (request_.request_id, "local", "files__read")
    assert (admission.component, admission.arguments_digest, admission.generation) == ("d" * 64, digest_of(b"{}"), "generation")
    assert (admission.decision.rules, admission.decided_at) == (("permissive",), NOW)


def test_the_same_request_gets_the_same_answer(request_: CallRequest) -> None:
    assert Authorizer().evaluate(request_, now=NOW) == Authorizer().evaluate(request_, now=NOW)


@pytest.mark.parametrize("value", [{"x": float("nan")}, [float("inf")]])
def test_what_json_cannot_carry_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


def test_a_nesting_without_end_has_no_digest() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        canonical_json(deep)


def test_the_canonical_spelling_has_one_form() -> None:
    assert (
        canonical_json({"b": 1, "a": ["é", "\ud800"]})
        == canonical_json({"a": ["é", "\ud800"], "b": 1})
        == b'{"a":["\\u00e9","\\ud800"],"b":1}'
    )


def test_request_ids_have_128_bits_and_differ() -> None:
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(bytes.fromhex(one)) for one in ids} == {16}
