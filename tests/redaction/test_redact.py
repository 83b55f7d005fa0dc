"""What a record never holds, and what it does not hide for nothing."""

from __future__ import annotations

import base64
import json
import time
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from sandbox.redaction.patterns import PATTERNS, telling
from sandbox.redaction.redact import MAX_NAMES, SMALL_TEXT, Redactor

A = "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1cD3eF5"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"

SECRETS = [
    ("OPENAI_API_KEY", "sk-proj-" + A, "sk-proj-" + A),
    ("ANTHROPIC_API_KEY", "sk-ant-api03-" + A, "sk-ant-api03-" + A),
    ("AWS_ACCESS_KEY_ID", "id AKIAIOSFODNN7EXAMPLE.", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
    ("GOOGLE_API_KEY", "AIzaSyA1234567890abcdefghijklmnopqrstuv", "SyA1234567890"),
    ("GOOGLE_OAUTH", "ya29.a0AfH6SMBx1234567890abc", "a0AfH6SMBx"),
    ("GITHUB_TOKEN", "ghp_" + A, A),
    ("GITHUB_TOKEN", "github_pat_" + A, A),
    ("GITLAB_TOKEN", "glpat-" + A, A),
    ("SLACK_TOKEN", "xoxb-123456789012-abcdef", "123456789012"),
    ("HUGGING_FACE_TOKEN", "hf_" + A, A),
    ("STRIPE_KEY", "sk_live_" + A, A),
    ("STRIPE_KEY", "whsec_" + A, A),
    ("JWT", JWT, "dozjgNryP4J3"),
    ("PRIVATE_KEY", PEM, "MIIEpAIBAAKCAQEA"),
    ("PRIVATE_KEY", PEM[:50], "MIIEpAIBAAKCAQEA"),
    ("BEARER_TOKEN", "curl -H 'X: bearer abc123def456'", "abc123def456"),
    ("BASIC_CREDENTIAL", "sent Basic " + base64.b64encode(b"user:hunter2").decode(), "dXNlcjpodW50ZXIy"),
    ("URL_PASSWORD", "postgres://app:hunter2@db/x", "hunter2"),
    ("URL_PASSWORD", "https://aB3dE5gH7jK9mN1pQ3sT5@example.com/x.git", "aB3dE5gH7jK9"),
    ("URL_PASSWORD", "ask app:hunter2@db.example:5432 for it", "hunter2"),
    ("SIG", "https://example.com/x?sv=1&sig=hunter2%3D", "hunter2"),
    ("X_AMZ_SIGNATURE".replace("_", "-"), "https://example.com/x?X-Amz-Signature=0123abc", "0123abc"),
    ("AUTHORIZATION", "Authorization: Digest username=x, response=0123", "0123"),
    ("COOKIE", "Cookie: a=first; b=second", "second"),
    ("PASSWORD", "login --password hunter2 now", "hunter2"),
    ("DB_PASSWORD", 'DB_PASSWORD="two words"', "words"),
    ("PASSWORD", r'{"broken": "\"password\": \"hunter2\"', "hunter2"),
    ("PASSWORD", r'"password": "a\"b-hunter2"', "hunter2"),
    ("PASSPHRASE", "passphrase: correct horse battery", "battery"),
    ("TOKEN", "https://example.com/x?a=1&token=hunter2&b=2", "hunter2"),
    ("TOKEN", 'cmd="export TOKEN=hunter2"', "hunter2"),
]


@pytest.mark.parametrize(("kind", "text", "secret"), SECRETS)
def test_a_credential_is_hidden_and_named(kind: str, text: str, secret: str) -> None:
    redacted = Redactor().redact(text)
    assert secret not in redacted.value
    assert kind in redacted.hidden
    assert "[REDACTED:" in redacted.value


def test_every_pattern_has_an_example() -> None:
    assert {pattern.kind for pattern in PATTERNS} <= {kind for kind, _, _ in SECRETS}


def test_an_assignment_to_a_telling_name_counts_where_the_value_is_short() -> None:
    redacted = Redactor().redact("export OPENAI_API_KEY=sk-1234567890abcdef")
    assert redacted.value == "export OPENAI_API_KEY=[REDACTED:OPENAI_API_KEY]"


@pytest.mark.parametrize(
    "text",
    [
        "scikit-learn and sk-learn-is-not-a-key-at-all",
        "bearer certificates",
        "Basic knowledge of arithmetic",
        "max_tokens: 4096",
        "token_count=17",
        "the secretary wrote: hello",
        "/srv/data/2024/report-final-version.csv",
        "https://example.com:8443/path?q=1#top",
        "user@example.com wrote key: value",
        "PASSWORD_POLICY=strict",
        "eyJ is how it begins",
        "100% of 3/4",
        "d41d8cd98f00b204e9800998ecf8427e",
        "mailto:somebody@example.com",
        "ssh://git@example.com/x.git",
        "at 12:30 @home, 12:30@home",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().redact(text) == type(Redactor().redact(""))(text, ())


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
    texts = SHORTEST + [text for _, text, _ in SECRETS]
    texts += ["".join(random.choices(SHORTEST, k=random.randint(1, 4))) for _ in range(20_000)]
    passed = 0
    for text in texts:
        if quick._holds_nothing(text):
            passed += 1
            assert thorough.redact(text) == type(thorough.redact(""))(text, ())
        assert quick.redact(text) == thorough.redact(text)
        assert not quick.harmless({"x": text}) or thorough.redact(text).value == text
    assert passed > 500, "else this compares nothing"


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


def test_the_time_is_linear_in_hostile_text() -> None:
    """Each text is built against one expression; a quadratic one would take minutes."""
    for unit in (
        "eyJ",
        "eyJa.",
        "sk-",
        "sk-a",
        "://",
        "://a:",
        "-----BEGIN ",
        "a=",
        'a="',
        "\\",
        "--a ",
        "token:",
        "%41",
        "AAAA",
        "bearer ",
        '"',
        "[",
        '{"a":',
    ):
        text = (unit * 400_000)[:400_000]
        start = time.process_time()
        Redactor([("X", "needle")]).redact(text)
        assert time.process_time() - start < 5, unit


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
