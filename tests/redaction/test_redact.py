"""What a record never holds, and what it does not hide for nothing."""

from __future__ import annotations

import base64
import json
import time
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from sandbox.redaction.assignments import telling
from sandbox.redaction.redact import MAX_NAMES, SMALL_TEXT, Redactor
from tests.redaction.kinds import HARMLESS, KINDS, letters

A = letters(36)
SIZE = 5_000
SECRETS = [(kind, text, secret) for kind, examples in KINDS.items() for text, secret in examples.true]


def test_an_assignment_to_a_telling_name_counts_where_the_value_is_short() -> None:
    redacted = Redactor().redact("export OPENAI_API_KEY=sk-1234567890abcdef")
    assert redacted.value == "export OPENAI_API_KEY=[REDACTED:OPENAI_API_KEY]"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("password", True),
        ("dbPassword", True),
        ("X-Api-Key", True),
        ("APIKEY", True),
        ("GITHUB_TOKEN", True),
        ("DB_PASSWORD_PROD", True),
        ("client_secret", True),
        ("sessionKey", True),
        ("path", False),
        ("key", False),
        ("token_url", False),
        ("tokens", False),
        ("author", False),
        ("", False),
    ],
)
def test_which_names_are_telling(name: str, expected: bool) -> None:
    assert telling(name) is expected


def test_a_value_under_a_telling_key_is_hidden_whatever_its_type() -> None:
    value: dict[str, Any] = {"config": [{"password": "x1"}, {"apiKey": 1234}, {"token": {"a": "b"}}, {"secret": None}]}
    redacted = Redactor().redact(value)
    assert redacted.value["config"] == [
        {"password": "[REDACTED:PASSWORD]"},
        {"apiKey": "[REDACTED:APIKEY]"},
        {"token": "[REDACTED:TOKEN]"},
        {"secret": None},
    ]
    assert redacted.hidden == ("APIKEY", "PASSWORD", "TOKEN")
    assert value["config"][0]["password"] == "x1", "the value that was given is not touched"


class Thorough(Redactor):
    """Looks at every text as if something could be in it."""

    def _holds_nothing(self, text: str) -> bool:
        return False


SHORTEST = [
    *("eyJabcdef.abcdef.", "bearer abcdefg1", "BEARER abcdefg1", "basic dTpwYXNz", "BASIC dTpwYXNz", "sk-abc4567890123"),
    *("sk-ant-", "AKIA", "ghp_", "hf_", "xoxb-", "k_live_", "AIza", "-----BEGIN PRIVATE KEY-----", "://u:p@", "--token x"),
    *(
        "token=x",
        "pwd: x",
        "%74oken",
        '"',
        '{"token":"x"}',
        "needle",
        "bmVlZGxl",
        "n%65edle",
        '"n\\u0065edle"',
        "aW4gbmVlZGxlIHRo",
    ),
    *(" ", "=", ":", "/", "-", "_", ".", "+", ",", "[1]", "é", "secret", "abcdefgh", "ABCD1234", "0123456789"),
]


def test_a_text_that_is_passed_over_holds_nothing() -> None:
    """The quick look at a text against the whole one, for texts of all that a credential is made of."""
    quick, thorough, random = Redactor([("X", "needle")]), Thorough([("X", "needle")]), Random(7)
    texts = [*SHORTEST, *HARMLESS, *(text for _, text, _ in SECRETS)]
    texts += ["".join(random.choices(SHORTEST, k=random.randint(1, 4))) for _ in range(8_000)]
    passed = 0
    for text in texts:
        if quick._holds_nothing(text):
            passed += 1
            assert thorough.redact(text) == type(thorough.redact(""))(text, ())
        assert quick.redact(text) == thorough.redact(text)
        assert not quick.harmless({"x": text}) or thorough.redact(text).value == text
    assert passed > 200, "else this compares nothing"


def test_what_is_harmless_is_small_flat_and_under_no_telling_name() -> None:
    redactor = Redactor([("X", "needle")])
    assert redactor.harmless({"path": "/data/a.txt", "lines": 20, "all": True, "none": None})
    for value in (
        {"password": 1},
        {"name": "X-Api-Key", "value": "hunter2"},
        {"needle": 1},
        {"a": "needle"},
        {"a": "x" * (SMALL_TEXT + 1)},
        {"a": ["b"]},
        {"a": float("nan")},
        {str(number): number for number in range(17)},
        {1: "a"},
        ["a"],
        object(),
    ):
        assert not redactor.harmless(value), value


def test_names_that_come_again_are_hidden_every_time_and_not_kept_without_end() -> None:
    redactor = Redactor([("X", "needle")])
    for number in range(3 * MAX_NAMES):
        assert redactor.name(f"{number} needle") == redactor.redact(f"{number} needle")
        assert redactor.name("0 needle").value == "0 [REDACTED:X]"
    assert len(redactor._names) <= MAX_NAMES


def _escaped(secret: str) -> str:
    return json.dumps({"x": "S"}).replace("S", "".join(f"\\u{ord(letter):04x}" for letter in secret))


@pytest.mark.parametrize("secret", ["ghp_" + A, "a literal value"])
@pytest.mark.parametrize(
    "encode",
    [
        str,
        lambda secret: json.dumps({"deep": json.dumps({"x": [secret]})}),
        _escaped,
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(json.dumps({"k": secret}).encode()).decode().rstrip("="),
        lambda secret: "q=" + quote("[" + secret + "]", safe=""),
        lambda secret: "".join(f"%{byte:02X}" for byte in secret.encode()),
        lambda secret: json.dumps({"x": secret, "y": 1}).replace('"y"', '"x"'),
    ],
)
def test_a_secret_is_found_inside_encodings(secret: str, encode: object) -> None:
    text = encode(secret)  # type: ignore[operator]
    redacted = Redactor([("NAME", "a literal value")]).redact({"argument": text})
    written = json.dumps(redacted.value)
    assert redacted.hidden
    assert secret not in written
    assert text not in written


def test_a_literal_is_hidden_wherever_it_stands_and_a_short_one_is_not_a_literal() -> None:
    redactor = Redactor([("DB_PASSWORD", "hunter2"), ("FLAG", "on"), ("LONG", "hunter2hunter2")])
    redacted = redactor.redact({"hunter2": "on hunter2hunter2"})
    assert redacted.value == {"[REDACTED:DB_PASSWORD]": "on [REDACTED:LONG]"}


HOSTILE = (
    *("eyJ", "eyJa.", "sk-", "sk-a", "://", "://a:", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
    *(
        "a=",
        'a="',
        "\\",
        "--a ",
        "token:",
        "token=",
        "token",
        "key",
        "key ",
        "token='",
        "<token>",
        "password: str = ",
        "a:b@",
        ":a@",
    ),
    *(
        "%41",
        "%25",
        "AAAA",
        "VVVV",
        "bearer ",
        "basic ",
        "basic AAAA",
        '"',
        "[",
        '{"a":',
        "\\u0041",
        "41",
        "41 ",
        "\n",
        "password: |\n ",
    ),
    *("dG9rZW49YWJj ", "dG9rZW49YWJj\n", "%74oken=x ", "746f6b656e3d78 ", 'token=\\"', "AKIA", "xox", "ghp_", "=>", "needle "),
)
"""Each is built against one expression or one step."""


def _seconds(text: str) -> float:
    taken = []
    for _ in range(2):
        begun = time.process_time()
        Redactor([("X", "needle")]).redact(text)
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_is_linear_in_hostile_text(unit: str) -> None:
    """Eight times the text takes eight times the time, give or take; what is quadratic takes sixty-four times."""
    small, large = ((unit * size)[:size] for size in (SIZE, 8 * SIZE))
    begun = _seconds(small)
    assert _seconds(large) < 24 * max(begun, 0.01), unit


def test_nesting_beyond_the_bound_is_cut_not_followed() -> None:
    value: object = "ghp_" + A
    for _ in range(500):
        value = [value]
    written = json.dumps(Redactor().redact(value).value)
    assert A not in written


@pytest.mark.parametrize(
    "value",
    [
        {"headers": [["X-Api-Key", "hunter2"], ["Accept", "text/plain"]]},
        {"headers": [{"name": "X-Api-Key", "value": "hunter2"}]},
        {"headers": [{"Value": [104, 117, 110], "key": "authorization", "note": "kept"}]},
        {"arguments": ["login", "--password", "hunter2", "now"]},
        [("Authorization", ["hunter2"])],
        '[["cookie", "hunter2"]]',
    ],
)
def test_a_name_and_its_value_side_by_side_are_a_name_and_its_value(value: object) -> None:
    """How WIT spells a header: a tuple, or a record; and a command its option."""
    redacted = Redactor().redact(value)
    assert redacted.hidden
    assert "hunter2" not in json.dumps(redacted.value)
    assert "104" not in json.dumps(redacted.value)
    for kept in ("text/plain", "kept", "now"):
        assert (kept in json.dumps(value)) == (kept in json.dumps(redacted.value))


GITHUB = "gh" + "p_" + "a1B2" * 10


@pytest.mark.parametrize(
    "value",
    [
        {"hunter2-Secret_value": 1},
        {"name": "hunter2-Secret_value", "value": "x"},
        ["hunter2-Secret_value", "x"],
        {f"{GITHUB}_token": 1},
        [f"{GITHUB}-token", "x"],
        f"{GITHUB}_token=abcdef",
        f"{{'{GITHUB}_token': 'abcdef'}}",
    ],
)
def test_a_name_that_is_a_secret_is_not_told_by_the_marker_of_its_value(value: object) -> None:
    redacted = Redactor([("db", "hunter2-Secret_value")]).redact(value)
    assert "SECRET" in redacted.hidden
    told = str(redacted).upper().replace("-", "_")
    assert "HUNTER2" not in told
    assert GITHUB.upper()[:16] not in told
    assert Redactor().redact({"db_password": 1}).value == {"db_password": "[REDACTED:DB_PASSWORD]"}
