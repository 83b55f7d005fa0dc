"""The issuer's keys: how often it is asked, what of its answers is taken, and what holds while it is away."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import trustme

from sandbox.config.oauth import OAuthSection
from sandbox.server.http.identity import Identity, Refused, Why
from sandbox.server.http.oauth import issuer as asking
from sandbox.server.http.oauth.issuer import MOST_BYTES, UnreachableError, fetch_keys
from sandbox.server.http.oauth.keys import AGAIN_SECONDS, FRESH_SECONDS, KEPT_SECONDS, Keys
from sandbox.server.http.oauth.signed import SignedTokens, signed_tokens
from tests.support.issuer import REALM, Issuer, issuing, key_of

KEY, NEW = key_of("ES256"), key_of("ES256")
KEYS, DESCRIBED = f"{REALM}/keys", f"/.well-known/oauth-authorization-server{REALM}"


def section_of(issuer: Issuer, **said: Any) -> OAuthSection:
    return OAuthSection(issuer=issuer.url, audience=issuer.audience, **said)


class Asked:
    """An issuer that is asked in this process: how often, and whether it is there."""

    def __init__(self) -> None:
        self.times, self.away, self.now = 0, False, 1000.0
        self.published: list[dict[str, Any]] = [KEY.public]
        self.keys = Keys(self.fetch, lambda: self.now)

    async def fetch(self) -> list[dict[str, Any]]:
        self.times += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnreachableError("away")
        return list(self.published)


async def test_made_up_key_ids_are_no_flood_at_the_issuer() -> None:
    asked = Asked()
    for times in (1, 2):
        found = await asyncio.gather(*(asked.keys.find(f"made-up-{number}", "ES256") for number in range(200)))
        assert (set(found), asked.times) == ({None}, times)
        asked.now += AGAIN_SECONDS - 1
        assert await asked.keys.find("made-up", "ES256") is None
        assert asked.times == times
        asked.now += 1


async def test_a_new_key_is_had_when_a_token_names_it_and_one_taken_back_holds_no_longer() -> None:
    asked = Asked()
    assert await asked.keys.find(KEY.kid, "ES256") is not None
    generation = asked.keys.generation()
    asked.published = [NEW.public]
    asked.now += AGAIN_SECONDS
    assert await asked.keys.find(NEW.kid, "ES256") is not None
    assert await asked.keys.find(KEY.kid, "ES256") is None
    assert asked.keys.generation() > generation


async def test_keys_that_are_no_longer_fresh_are_used_while_the_issuer_is_asked() -> None:
    asked = Asked()
    assert await asked.keys.find(KEY.kid, "ES256") is not None
    asked.now += FRESH_SECONDS + 1
    assert await asked.keys.find(KEY.kid, "ES256") is not None
    asked.published = [NEW.public]
    for _ in range(5):
        await asyncio.sleep(0)
    assert asked.times == 2
    assert await asked.keys.find(KEY.kid, "ES256") is None


async def test_an_issuer_that_is_away_ends_nothing_at_once_and_everything_in_the_end() -> None:
    asked = Asked()
    assert await asked.keys.find(KEY.kid, "ES256") is not None
    asked.away = True
    for _ in range(int(KEPT_SECONDS // FRESH_SECONDS) - 1):
        asked.now += FRESH_SECONDS
        assert await asked.keys.find(KEY.kid, "ES256") is not None
        await asyncio.sleep(0)
    generation = asked.keys.generation()
    asked.now += FRESH_SECONDS * 2
    with pytest.raises(UnreachableError):
        await asked.keys.find(KEY.kid, "ES256")
    assert asked.keys.generation() > generation, "what was verified before is not good for longer"
    asked.away = False
    asked.now += AGAIN_SECONDS
    assert await asked.keys.find(KEY.kid, "ES256") is not None


async def test_without_any_keys_nobody_is_let_in_and_it_is_asked_again_in_time() -> None:
    with issuing("https://tools.example.com/mcp", KEY) as issuer:
        issuer.answers[KEYS] = (500, b"")
        tokens, now = signed_tokens(section_of(issuer)), 0.0
        tokens._keys._clock = lambda: now
        for _ in range(5):
            assert await tokens.verify(issuer.token()) == Refused(Why.UNAVAILABLE)
        assert issuer.asked.count(KEYS) == 1
        del issuer.answers[KEYS]
        now = AGAIN_SECONDS
        assert isinstance(await tokens.verify(issuer.token()), Identity)


async def test_what_an_issuer_may_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that leads elsewhere, nothing endless, and no document of somebody else's."""
    monkeypatch.setattr(asking, "SECONDS", 2.0)
    with issuing("https://tools.example.com/mcp", KEY) as issuer:
        described = issuer.documents()[DESCRIBED]
        for path, answer, said in (
            (DESCRIBED, (200, {**described, "issuer": issuer.url + "/"}), "not the configured one"),
            (DESCRIBED, (200, {**described, "issuer": "https://evil.example"}), "not the configured one"),
            (DESCRIBED, (200, {**described, "jwks_uri": "http://evil.example/keys"}), "which is not https"),
            (DESCRIBED, (200, {**described, "jwks_uri": "file:///etc/passwd"}), "which is not https"),
            (DESCRIBED, (200, {**described, "jwks_uri": 7}), "no place of its keys"),
            (DESCRIBED, (302, b""), "the answer is 302"),
            (KEYS, (302, b""), "the answer is 302"),
            (KEYS, (200, b"x" * (MOST_BYTES + 1)), "longer than"),
            (KEYS, (200, b"{"), "no JSON object"),
            (KEYS, (200, b"[" * 100_000), "no JSON object"),
            (KEYS, (200, {"keys": {}}), "no list of keys"),
            (KEYS, (200, {"keys": [1, "a"]}), "no keys"),
        ):
            issuer.answers = {path: answer}
            with pytest.raises(UnreachableError, match=said):
                await fetch_keys(section_of(issuer))
            assert f"{REALM}/elsewhere" not in issuer.asked
        issuer.answers = {}
        assert [key["kid"] for key in await fetch_keys(section_of(issuer))] == [KEY.kid]
        port = issuer.port
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
        await fetch_keys(OAuthSection(issuer=f"http://127.0.0.1:{port}{REALM}", audience="https://b.example/mcp"))


async def test_an_issuer_of_openids_describes_itself_elsewhere() -> None:
    with issuing("https://tools.example.com/mcp", KEY) as issuer:
        described = issuer.documents()[DESCRIBED]
        for path in (f"{REALM}/.well-known/openid-configuration", f"/.well-known/openid-configuration{REALM}"):
            issuer.answers = {DESCRIBED: (404, b""), path: (200, described)}
            assert await fetch_keys(section_of(issuer))


async def test_an_issuer_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        section = OAuthSection(issuer=f"http://127.0.0.1:{port}", audience="https://b.example/mcp")
        with pytest.raises(UnreachableError, match="no answer within"):
            await fetch_keys(section)


async def test_what_fails_in_a_check_is_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> list[dict[str, Any]]:
        raise RuntimeError("x")

    with issuing("https://tools.example.com/mcp", KEY) as issuer:
        tokens = SignedTokens(section_of(issuer), Keys(broken))
        assert await tokens.verify(issuer.token()) == Refused(Why.UNAVAILABLE)
        tokens = signed_tokens(section_of(issuer))
        tokens._leeway = "x"  # type: ignore[assignment] - a mistake of our own
        assert await tokens.verify(issuer.token()) == Refused(Why.MALFORMED)
    assert "could not be checked" in caplog.text


async def test_an_issuer_that_cannot_prove_its_name_is_none() -> None:
    """Its certificate is of an authority that this machine does not know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        section = OAuthSection(issuer=f"https://127.0.0.1:{port}", audience="https://b.example/mcp")
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch_keys(section)
