"""Each kind of credential finds what it must and leaves what only looks like it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from sandbox.redaction.assignments import _PARTS, _SIGNS, telling
from sandbox.redaction.patterns import BY_SIGN, PATTERNS, USERINFO, hide_credentials
from sandbox.redaction.redact import Redactor
from tests.redaction.kinds import HARMLESS, KINDS, b64

REDACTOR = Redactor()
ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_of_the_code_has_rows_and_every_row_a_kind() -> None:
    assert {pattern.kind for pattern in PATTERNS} | {USERINFO, "AWS_SECRET_ACCESS_KEY", "ASSIGNMENT"} == KINDS.keys()
    for kind, examples in KINDS.items():
        assert len(examples.true) >= 4, kind
        assert len(examples.false) >= 4, kind
        assert len(set(examples.true)) == len(examples.true), kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_one_is_hidden_and_named(kind: str) -> None:
    for text, secret in KINDS[kind].true:
        assert secret in text or secret in text.replace("\\", ""), "else this looks for nothing"
        redacted = REDACTOR.redact(text)
        assert secret not in redacted.value, (text, redacted)
        assert "[REDACTED:" in redacted.value
        assert redacted.hidden
        if kind != "ASSIGNMENT":
            assert kind in redacted.hidden, (text, redacted)


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_looks_like_one_stays(kind: str) -> None:
    for text in (*KINDS[kind].false, *(HARMLESS if kind == "ASSIGNMENT" else ())):
        redacted = REDACTOR.redact(text)
        assert (redacted.value, redacted.hidden) == (text, ())


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def _wrapped(text: str) -> str:
    return base64.encodebytes(f"some words before it, so that lines are wrapped: {text}; and behind".encode()).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "in a long text": lambda text: f"{'words of a log line, id=12; ' * 40}\n{text}\n{'more of them. ' * 40}",
    "json in json": lambda text: json.dumps({"deep": json.dumps({"x": [text]})}),
    "json in a line of a log": lambda text: 'INFO got {"x": "' + _escaped(text) + '"}',
    "base64": b64,
    "base64 one further": lambda text: b64(" " + text),
    "base64 two further": lambda text: b64("  " + text),
    "base64 behind letters": lambda text: f"path/{b64(text)}",
    "base64 for urls": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in lines": _wrapped,
    "base64 in lines in json": lambda text: json.dumps({"x": _wrapped(text)}),
    "base64 in escaped lines": lambda text: "INFO " + json.dumps({"x": _wrapped(text)}),
    "base64 in base64": lambda text: b64(b64(text)),
    "percent": lambda text: "q=" + "".join(f"%{byte:02X}" for byte in text.encode()),
    "a query": lambda text: "https://a.test/?q=" + quote(f"[{text}]", safe=""),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: f"id {text.encode().hex().upper()}.",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_kind_is_found_in_every_spelling(spelling: str) -> None:
    for kind, examples in KINDS.items():
        text, secret = examples.true[0]
        if len(text) < 12:
            continue
        spelled = SPELLINGS[spelling](text)
        redacted = REDACTOR.redact({"argument": spelled})
        written = json.dumps(redacted.value)
        assert redacted.hidden, (kind, spelled)
        assert secret not in written
        assert spelled not in written


def test_no_sign_stands_in_another_one() -> None:
    """The first of two would be found in the other's place, and the other's patterns would not be tried."""
    assert [(a, b) for a in BY_SIGN for b in BY_SIGN if a != b and a in b] == []


def test_a_telling_name_has_one_of_the_parts_that_are_looked_for() -> None:
    words = [*_PARTS.split("|"), "word", "phrase", "wd", "code", "api", "access", "private", "amz", "nature", "string", "id", "x"]
    for one in words:
        for two in words:
            for name in (one, one + two, f"{one}_{two}", one + two.title(), f"{one.upper()}-{two.upper()}"):
                assert not telling(name) or _SIGNS.within(f"{name}=")(0) is not None, name


def test_no_credential_stands_in_the_files_that_test_for_them() -> None:
    """Else a host of repositories refuses the push, or warns of a leak."""
    files = [ROOT / "tests" / "redaction" / "kinds.py", *ROOT.glob("benchmarks/*.py")]
    found = {}
    for path in files:
        hidden: set[str] = set()
        hide_credentials(path.read_text(), hidden)
        found[path.name] = hidden - {"URL_PASSWORD", "BEARER_TOKEN", "BASIC_CREDENTIAL"}
    assert {name: hidden for name, hidden in found.items() if hidden} == {}
