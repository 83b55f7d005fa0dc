"""Redaction without a host, as a program uses it."""

from __future__ import annotations

import pytest

import sandbox
from sandbox import Redactor, redact, redact_env_vars

ENVIRON = {"DB_PASSWORD": "swordfish", "REGION": "eu-west-1", "CI_TOKEN": "abc", "PIN": "4711"}


def test_a_single_name_is_not_read_as_names_of_one_letter() -> None:
    with pytest.raises(TypeError, match=r"write `\[name\]`"):
        redact_env_vars("x", "DB_PASSWORD", ENVIRON)


def test_the_values_of_named_variables_are_hidden() -> None:
    """Those that were named, wherever they stand; what is too short to be told from other text stays."""
    found = redact_env_vars(
        {"at": "eu-west-1", "said": "swordfish 4711 abc"}, ["DB_PASSWORD", "PIN", "CI_TOKEN", "GONE"], ENVIRON
    )
    assert found.value == {"at": "eu-west-1", "said": "[REDACTED:DB_PASSWORD] [REDACTED:PIN] abc"}
    assert found.hidden == ("DB_PASSWORD", "PIN")


def test_without_names_the_telling_ones_count() -> None:
    found = redact_env_vars("swordfish in eu-west-1, 4711", environ=ENVIRON)
    assert found.value == "[REDACTED:DB_PASSWORD] in eu-west-1, 4711"


def test_the_process_s_own_variables_are_meant_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_KEY_OF_THIS_TEST", "swordfish")
    assert redact_env_vars("a swordfish", ["SERVICE_KEY_OF_THIS_TEST"]).hidden == ("SERVICE_KEY_OF_THIS_TEST",)


def test_they_are_the_package_s_own_and_work_on_a_copy() -> None:
    assert {"Redactor", "Redacted", "redact", "redact_env_vars"} <= set(sandbox.__all__)
    given = {"said": ["export OPENAI_API_KEY=" + "sk-1234567890abcdef"]}
    assert redact(given).value == {"said": ["export OPENAI_API_KEY=[REDACTED:OPENAI_API_KEY]"]} != given
    assert redact(given) == Redactor().redact(given)
