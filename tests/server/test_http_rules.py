"""Tokens, and the names of a server: what is taken for one, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.admission.subject import TOKEN_SCOPES
from sandbox.errors import SandboxError
from sandbox.server.http.identity import Identity, Refused, Why
from sandbox.server.http.names import Names, named
from sandbox.server.http.tokens import tokens_in_file, tokens_of

GOOD = "a-token-of-twenty-characters"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "short",
        f"two words {GOOD}",
        f"name {GOOD[:19]}",
        f"bad/name {GOOD}",
        f"a {GOOD}\na {GOOD}x",
        f"{GOOD} é",
    ],
)
def test_what_is_no_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SandboxError) as caught:
        tokens_of(text, "tokens")
    assert GOOD not in str(caught.value)
    assert caught.value.help


async def test_a_token_is_known_by_its_name_alone() -> None:
    tokens = tokens_of(f"# comment\nalice {GOOD}\n\n{GOOD}-too\n", "tokens")
    assert GOOD not in repr(tokens)
    for token, subject in ((GOOD, "alice"), (f"{GOOD}-too", "token")):
        found = await tokens.verify(token)
        assert isinstance(found, Identity)
        assert (found.who.id, found.access_token.token) == (subject, "")
    for wrong in ("", GOOD[:-1], f"{GOOD} ", GOOD.upper(), "\udcff" * 20):
        assert await tokens.verify(wrong) == Refused(Why.UNKNOWN)


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ("role=a", "did you mean `roles`?"),
        ("roles=a roles=b", "each once"),
        ("tenant=a,b", "which is none"),
        ("roles=", "no token"),
        ("roles=a,,b", "which is none"),
        ("scopes=a;b", "which is none"),
    ],
)
def test_what_a_tokens_line_says_wrongly_is_refused(further: str, said: str) -> None:
    with pytest.raises(SandboxError) as refused:
        tokens_of(f"ann {GOOD} {further}", "tokens")
    assert said in str(refused.value)
    assert GOOD not in str(refused.value)


async def test_a_token_without_scopes_has_all_but_admin() -> None:
    found = await tokens_of(f"ann {GOOD} roles=a", "tokens").verify(GOOD)
    assert isinstance(found, Identity)
    assert found.who.scopes == TOKEN_SCOPES
    assert (found.who.roles, found.who.claims) == (("a",), {"roles": ("a",)})


async def test_a_file_that_is_not_there_gets_a_token_that_nobody_else_can_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    tokens, made = tokens_in_file(path)
    assert (made, path.stat().st_mode & 0o777) == (True, 0o600)
    assert len(path.read_text().strip()) == 43
    assert isinstance(await tokens.verify(path.read_text().strip()), Identity)
    assert tokens_in_file(path) == (tokens, False)


def test_a_file_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.write_text(GOOD)
    loose.chmod(0o640)
    (tmp_path / "link").symlink_to(loose)
    for path in (loose, tmp_path / "link", tmp_path):
        with pytest.raises((SandboxError, OSError)):
            tokens_in_file(path)
    long = tmp_path / "long"
    long.write_text(f"{GOOD}\n" * 10_000)
    long.chmod(0o600)
    with pytest.raises(SandboxError, match="longer"):
        tokens_in_file(long)


STRANGE = [
    "",
    "evil.test",
    "127.0.0.1.",
    "localhost.evil",
    "[::1]:x",
    "127.0.0.1:",
    "127.0.0.1:70000",
    "a@127.0.0.1",
    " localhost",
]


@pytest.mark.parametrize("host", [*STRANGE, "localhost\n", "[::2]", "127.0.0.1:80:80"])
def test_a_strange_host_is_not_answered(host: str) -> None:
    assert not Names().answers_to(host)


def test_ports_are_free_for_a_bare_name_and_exact_for_one_with_a_port() -> None:
    names = Names(frozenset({"box.example.com", "10.0.0.1:8080"}))
    assert [
        names.answers_to(host) for host in ("BOX.example.com", "box.example.com:1", "10.0.0.1:8080", "10.0.0.1", "localhost")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "origin", ["null", "*", "", "https://localhost:80", "http://localhost", "http://evil.test", "http://localhost:80/"]
)
def test_a_strange_origin_is_not_listened_to(origin: str) -> None:
    assert not Names().speaks_with(origin, "localhost:80")
    assert not Names(frozenset()).speaks_with("http://localhost:80", "localhost:80")


def test_its_own_origin_and_a_named_one_are_listened_to() -> None:
    assert Names().speaks_with("http://localhost:80", "LOCALHOST:80")
    assert Names(origins=frozenset({"https://app.example.com"})).speaks_with("https://app.example.com", "localhost:80")


@pytest.mark.parametrize(
    ("written", "spelled"), [("Box", "box"), ("::1", "[::1]"), ("[::1]:8", "[::1]:8"), ("a b", None), ("a/b", None)]
)
def test_a_host_has_one_spelling(written: str, spelled: str | None) -> None:
    assert named(written) == spelled
