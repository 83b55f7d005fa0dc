"""Signed tokens: what is taken for one, from whom, and whom it stands for."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.config.oauth import ClaimNames, OAuthSection
from sandbox.config.read import read_text
from sandbox.errors import PolicyError
from sandbox.server.http.identity import Identity, Refused, Why
from sandbox.server.http.oauth.signed import MOST_BYTES, SignedTokens, signed_tokens
from tests.support.issuer import REALM, Issuer, Key, b64url, issuing, key_of

RSA, EC, PSS, ED = (key_of(algorithm) for algorithm in ("RS256", "ES256", "PS256", "EdDSA"))


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing("https://tools.example.com/mcp", EC, RSA, PSS, ED) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def tokens(issuer: Issuer) -> SignedTokens:
    return tokens_of(issuer)


def tokens_of(issuer: Issuer, **said: Any) -> SignedTokens:
    written = {"issuer": issuer.url, "audience": issuer.audience, "algorithms": ["RS256", "ES256", "EdDSA"], **said}
    return signed_tokens(OAuthSection.model_validate(written))


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"x") -> str:
    """A token with any header at all."""
    return ".".join((b64url(json.dumps(header).encode()), b64url(json.dumps(claims).encode()), b64url(signature)))


def claims_of(issuer: Issuer) -> dict[str, Any]:
    return {"iss": issuer.url, "sub": "ann", "aud": issuer.audience, "iat": time.time(), "exp": time.time() + 60}


async def test_what_is_no_token_of_the_issuers_stands_for_nobody(issuer: Issuer, tokens: SignedTokens) -> None:
    good = issuer.token()
    head, body, signature = good.split(".")
    other = "A" if signature[0] != "A" else "B"
    for token, why in (
        ("", Why.MALFORMED),
        ("x", Why.MALFORMED),
        (f"{good}.x", Why.MALFORMED),
        (f"{good}=", Why.MALFORMED),
        (f"{good}\n", Why.MALFORMED),
        (f"{head}.{body}.", Why.MALFORMED),
        (f"{head}.{'A' * MOST_BYTES}.{signature}", Why.MALFORMED),
        (f"{head}.{b64url(b'[' * 9000)}.{signature}", Why.MALFORMED),
        (f"{head}.{b64url(b'[]')}.{signature}", Why.MALFORMED),
        (f"{head}.{body}.{other}{signature[1:]}", Why.SIGNATURE),
        (f"{head}.{b64url(json.dumps({**claims_of(issuer), 'sub': 'bob'}).encode())}.{signature}", Why.SIGNATURE),
        (issuer.token(key_of("ES256", EC.kid)), Why.SIGNATURE),
        (issuer.token(key_of("ES256")), Why.KEY),
        (issuer.token(headers={"kid": "../../etc/passwd"}), Why.KEY),
        (issuer.token(headers={"kid": "' OR 1=1 --"}), Why.KEY),
        (forged({"alg": "ES256", "kid": 7}, claims_of(issuer)), Why.MALFORMED),
        (issuer.token(RSA, headers={"kid": EC.kid}), Why.KEY),
        (issuer.token(headers={"typ": "JOSE"}), Why.MALFORMED),
        (issuer.token(headers={"typ": "logout+jwt"}), Why.MALFORMED),
        (issuer.token(headers={"typ": "dpop+jwt"}), Why.MALFORMED),
        (issuer.token(headers={"crit": ["exp"], "exp": 1}), Why.MALFORMED),
        (issuer.token(headers={"crit": ["b64"], "b64": True}), Why.MALFORMED),
        (issuer.token(headers={"zip": "DEF"}), Why.MALFORMED),
    ):
        assert await tokens.verify(token) == Refused(why), token[:60]
    assert isinstance(await tokens.verify(good), Identity)


async def test_an_algorithm_that_the_operator_did_not_write_is_refused(issuer: Issuer, tokens: SignedTokens) -> None:
    """HTTP-01: `none` in every spelling, the public key as a shared secret, and a true signature by another algorithm."""
    claims = claims_of(issuer)
    public = RSA.private.public_key()
    for secret in (
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        json.dumps(RSA.public).encode(),
    ):
        head, body, _ = forged({"alg": "HS256", "kid": RSA.kid, "typ": "JWT"}, claims).split(".")
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), secret)
        assert await tokens.verify(f"{head}.{body}.{b64url(signature)}") == Refused(Why.ALGORITHM)
    for name in ("none", "None", "NONE", "nOnE", "", None, 7, ["ES256"], "ES256 ", "HS256"):
        assert await tokens.verify(forged({"alg": name, "kid": EC.kid}, claims)) == Refused(Why.ALGORITHM)
    assert await tokens.verify(issuer.token(PSS)) == Refused(Why.ALGORITHM)
    only = tokens_of(issuer, algorithms=["PS256"])
    assert isinstance(await only.verify(issuer.token(PSS)), Identity)
    assert await only.verify(issuer.token()) == Refused(Why.ALGORITHM)


async def test_keys_come_from_the_issuer_alone(issuer: Issuer, tokens: SignedTokens) -> None:
    """HTTP-01: a token that brings its own key, or says where one lies, is checked with the issuer's; nobody asks elsewhere."""
    mine = key_of("ES256")
    with issuing(issuer.audience, mine) as elsewhere:
        for header in (
            {"jku": f"{elsewhere.root}{REALM}/keys"},
            {"x5u": f"{elsewhere.root}/x"},
            {"jwk": mine.public},
            {"x5c": [base64.b64encode(b"x").decode()]},
        ):
            assert await tokens.verify(issuer.token(mine, headers=header)) == Refused(Why.KEY)
            assert await tokens.verify(issuer.token(mine, headers={**header, "kid": EC.kid})) == Refused(Why.SIGNATURE)
        assert elsewhere.asked == []


async def test_a_claim_that_is_wrong_refuses_the_token(issuer: Issuer, tokens: SignedTokens) -> None:
    now = time.time()
    for claims, why in (
        ({"iss": None}, Why.ISSUER),
        ({"iss": issuer.url + "/"}, Why.ISSUER),
        ({"iss": [issuer.url]}, Why.ISSUER),
        ({"iss": issuer.url.upper()}, Why.ISSUER),
        ({"aud": None}, Why.CLAIMS),
        ({"aud": []}, Why.CLAIMS),
        ({"aud": "https://other.example.com/mcp"}, Why.AUDIENCE),
        ({"aud": issuer.audience + "/"}, Why.AUDIENCE),
        ({"aud": {issuer.audience: 1}}, Why.AUDIENCE),
        ({"aud": [issuer.audience, 7]}, Why.AUDIENCE),
        ({"exp": None}, Why.CLAIMS),
        ({"exp": now - 31}, Why.EXPIRED),
        ({"exp": True}, Why.EXPIRED),
        ({"exp": str(int(now) + 60)}, Why.CLAIMS),
        ({"exp": "never"}, Why.MALFORMED),
        ({"nbf": now + 300}, Why.NOT_YET),
        ({"nbf": True}, Why.CLAIMS),
        ({"iat": now + 300}, Why.NOT_YET),
        ({"iat": None}, Why.CLAIMS),
        ({"cnf": {"jkt": "x"}}, Why.BOUND),
        ({"sub": None}, Why.CLAIMS),
        ({"sub": ""}, Why.CLAIMS),
        ({"sub": "ann "}, Why.CLAIMS),
        ({"sub": "ann\u200b"}, Why.CLAIMS),
        ({"sub": "a" * 201}, Why.CLAIMS),
        ({"roles": {"admin": True}}, Why.CLAIMS),
        ({"roles": ["reader", 7]}, Why.CLAIMS),
        ({"roles": ["x"] * 257}, Why.CLAIMS),
        ({"scope": 7}, Why.CLAIMS),
        ({"scope": ["tools:read", ["admin"]]}, Why.CLAIMS),
        ({"scope": "tools:read *"}, Why.CLAIMS),
        ({"scope": None, "scp": ["admin*"]}, Why.CLAIMS),
    ):
        assert await tokens.verify(issuer.token(**claims)) == Refused(why), claims


async def test_whom_a_token_stands_for(issuer: Issuer, tokens: SignedTokens) -> None:
    for key in (EC, RSA, ED):
        found = await tokens.verify(issuer.token(key, roles=["reader", "reader", "writer"]))
        assert isinstance(found, Identity)
        assert found.who.id == f"{issuer.url.removeprefix('http://')}:ann"
        assert found.who.roles == ("reader", "writer")
        assert found.who.scopes == ("tools:read", "tools:invoke", "resources:read")
        assert (found.who.tenant, found.who.claims, found.issuer) == (None, {}, issuer.url)
    for claims, scopes in (
        ({"scope": None}, ()),
        ({"scope": None, "scp": "a b"}, ("a", "b")),
        ({"scope": None, "scp": ["a", "b"]}, ("a", "b")),
        ({"scope": " a  b "}, ("a", "b")),
    ):
        found = await tokens.verify(issuer.token(**claims))
        assert isinstance(found, Identity)
        assert found.who.scopes == scopes


async def test_an_end_that_has_come_ends_a_token_that_was_good(issuer: Issuer) -> None:
    """Also one that was verified before: its end is looked at with every request. The leeway is the operator's."""
    now = time.time()
    clock = [now]
    tokens = tokens_of(issuer)
    tokens._clock = lambda: clock[0]
    token = issuer.token(exp=int(now) + 10)
    assert isinstance(await tokens.verify(token), Identity)
    clock[0] = int(now) + 39.9
    assert isinstance(await tokens.verify(token), Identity)
    clock[0] = int(now) + 40
    assert await tokens.verify(token) == Refused(Why.EXPIRED)
    endless = await tokens.verify(issuer.token(exp=10**300))
    assert isinstance(endless, Identity)
    assert endless.expires_at is not None


async def test_what_is_verified_once_is_known_until_the_keys_change(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tokens_of(issuer)
    token = issuer.token(sub="known")
    first = await tokens.verify(token)
    assert await tokens.verify(token) is first
    tokens._keys._hold((RSA.public,))
    assert await tokens.verify(token) == Refused(Why.KEY)


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_a_key_is_good_for_what_it_is_published_for(issuer: Issuer) -> None:
    small = Key("small", "RS256", rsa.generate_private_key(65537, 1024))
    for public, key in (
        ({**EC.public, "use": "enc"}, EC),
        ({**EC.public, "key_ops": ["sign"]}, EC),
        ({**EC.public, "alg": "ES384"}, EC),
        ({**EC.public, "crv": "P-384"}, EC),
        ({**EC.public, "kty": "oct", "k": "AAAA"}, EC),
        ({**EC.public, "d": "AAAA"}, EC),
        ({**EC.public, "x": "AAAA"}, EC),
        ({**RSA.public, "alg": "RS512"}, RSA),
        (small.public, small),
    ):
        with issuing(issuer.audience, key) as strange:
            strange.answers[f"{REALM}/keys"] = (200, {"keys": [public]})
            found = await tokens_of(strange).verify(strange.token(key))
            assert found == Refused(Why.KEY), public
    with issuing(issuer.audience, EC) as twice:
        twice.answers[f"{REALM}/keys"] = (200, {"keys": [EC.public, {**key_of("ES256").public, "kid": EC.kid}]})
        assert await tokens_of(twice).verify(twice.token()) == Refused(Why.KEY)
    with issuing(issuer.audience, EC) as plain:
        bare = {name: value for name, value in EC.public.items() if name in ("kty", "crv", "x", "y")}
        plain.answers[f"{REALM}/keys"] = (200, {"keys": [bare]})
        assert isinstance(await tokens_of(plain).verify(plain.token(headers={"kid": None})), Identity)


# Each key of `auth.oauth`: what it is written with, a token that runs into it, and one that passes.

WRITTEN: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = {
    "issuer": ({}, {"iss": "https://other.example"}, {}),
    "audience": ({"audience": "api://tools", "resource": "https://a.example/mcp"}, {}, {"aud": "api://tools"}),
    "algorithms": ({"algorithms": ["RS256"]}, {}, {"key": RSA}),
    "leeway": ({"leeway": "2m"}, {"exp": -130}, {"exp": -100}),
}


@pytest.mark.parametrize("key", WRITTEN)
async def test_every_key_says_which_token_is_refused(issuer: Issuer, key: str) -> None:
    written, wrong, right = WRITTEN[key]
    tokens = tokens_of(issuer, **written)

    def made(claims: dict[str, Any]) -> str:
        moved = {name: value if name != "exp" else time.time() + value for name, value in claims.items()}
        return issuer.token(moved.pop("key", None), **moved)

    assert wrong is not None
    assert isinstance(await tokens.verify(made(wrong)), Refused)
    assert isinstance(await tokens.verify(made(right)), Identity)


async def test_every_key_says_whom_a_token_stands_for(issuer: Issuer) -> None:
    claims = {
        "subject": "oid",
        "roles": "realm_access.roles",
        "scopes": "permissions",
        "tenant": "tid",
        "kept": {"department": "https://acme.example/department", "level": "staff.level", "gone": "nowhere"},
    }
    assert claims.keys() == ClaimNames.model_fields.keys()
    tokens = tokens_of(issuer, subject_prefix="corp:", claims=claims)
    told = {
        "oid": "7",
        "realm_access": {"roles": ["reader"]},
        "roles": ["admin"],
        "permissions": ["tools:read"],
        "tid": "acme",
        "https://acme.example/department": "sales",
        "staff": {"level": 3},
        "secret": "s",
    }
    found = await tokens.verify(issuer.token(**told))
    assert isinstance(found, Identity)
    who = found.who
    assert (who.id, who.roles, who.scopes, who.tenant) == ("corp:7", ("reader",), ("tools:read",), "acme")
    assert who.claims == {"department": "sales", "level": 3}
    for missing in ({"oid": None}, {"tid": None}, {"staff": {"level": "x" * 5000}}):
        assert await tokens.verify(issuer.token(**{**told, **missing})) == Refused(Why.CLAIMS)


async def test_the_keys_may_be_named(issuer: Issuer) -> None:
    """Then nobody is asked where they are."""
    with issuing(issuer.audience, EC) as named:
        tokens = tokens_of(named, jwks_url=f"{named.root}{REALM}/keys")
        assert isinstance(await tokens.verify(named.token()), Identity)
        assert named.asked == [f"{REALM}/keys"]


def test_no_key_is_without_a_test() -> None:
    """`resource` and `scopes` are told to clients: `test_oauth.py`."""
    elsewhere = {"jwks_url", "subject_prefix", "claims", "resource", "scopes"}
    assert WRITTEN.keys() | elsewhere == OAuthSection.model_fields.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("issuer: http://a.example, audience: https://b.example/mcp", "can be read and changed on its way"),
        ("issuer: https://u:p@a.example, audience: https://b.example/mcp", "more than scheme, host and path"),
        ("issuer: a.example, audience: https://b.example/mcp", "is no URL"),
        ('issuer: "https://a.example?x=1", audience: https://b.example/mcp', "has a query"),
        ("issuer: https://a.example", "audience"),
        ("audience: https://b.example/mcp", "issuer"),
        ("issuer: https://a.example, audience: tools", "no client is told where this server is"),
        ("issuer: https://a.example, audience: https://b.example/mcp, algorithms: [none]", "proves nothing here"),
        ("issuer: https://a.example, audience: https://b.example/mcp, algorithms: [HS256]", "did you mean `RS256`?"),
        ("issuer: https://a.example, audience: https://b.example/mcp, algorithms: []", "the list is empty"),
        ("issuer: https://a.example, audience: https://b.example/mcp, algorithms: [ES256K]", "is no algorithm"),
        ("issuer: https://a.example, audience: https://b.example/mcp, leeway: 6m", "write at most `5m`"),
        ("issuer: https://a.example, audience: https://b.example/mcp, subject_prefix: corp", "`:` at the end"),
        ("issuer: https://a.example, audience: https://b.example/mcp, scopes: [a b]", "is no scope"),
        ("issuer: https://a.example, audience: https://b.example/mcp, claims: {kept: {a.b: c}}", "can have"),
        ("issuer: https://a.example, audience: https://b.example/mcp, claims: {role: c}", "did you mean `roles`?"),
        ("issuer: https://a.example, audience: https://b.example/mcp, secret: x", "unknown key"),
    ],
)
def test_what_cannot_hold_is_refused_in_its_place(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        read_text(f"auth: {{oauth: {{{text}}}}}", file="sandbox.yaml")
    assert said in f"{refused.value} {[problem.help for problem in refused.value.problems]}"
