"""A server that takes an issuer's tokens: what its clients are told, how they get one, what it is good for, and when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from sandbox import Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.audit import records
from sandbox.audit.flood import BURST
from sandbox.config.oauth import ClaimNames, OAuthSection
from sandbox.server.builtin import BuiltinTools
from sandbox.server.http.bearer import EitherOf
from sandbox.server.http.oauth.signed import signed_tokens
from sandbox.server.http.protected import WELL_KNOWN, ProtectedResource
from sandbox.server.http.tokens import tokens_of
from tests.support.guests import guest
from tests.support.http import Answer, Served, served
from tests.support.issuer import REALM, Issuer, issuing

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")]

STATIC = "ann-has-a-static-token-too"
ECHO, PRINT = "every_type__echo-string", "prints__print"
RESOURCE = "http://127.0.0.1:{port}/mcp"
DOCUMENT = """version: "1.0"
template: permissive
requires:
  - {tool: "prints__*", scopes: [billing]}
scopes: {billing: {}}
rules:
  - {name: not-the-guests, effect: deny, when: {tool: every_type__echo-string, subject.roles: {in: [guest]}}}
"""
ORDINARY = ("tools:read", "tools:invoke", "resources:read")
BILLING = " ".join((*ORDINARY, "billing"))


class Front:
    """The server, its issuer, its home."""

    def __init__(self, served: Served, issuer: Issuer, sandbox: Sandbox) -> None:
        self.served, self.issuer, self.sandbox = served, issuer, sandbox

    def token(self, **claims: Any) -> str:
        return self.issuer.token(**claims)

    def records(self) -> list[dict[str, Any]]:
        return list(records(self.sandbox.home / "audit"))

    async def call(self, tool: str, token: str, arguments: dict[str, Any] | None = None) -> Answer:
        asked = {"name": tool, "arguments": {"x": "a"} if arguments is None else arguments}
        return await self.served.modern("tools/call", asked, Authorization=f"Bearer {token}")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Any) -> AsyncIterator[Front]:
    async with Sandbox(tmp_path_factory.mktemp("home"), admission=load_admission(DOCUMENT, file="admission.yaml")) as sandbox:
        await sandbox.load(guest("every_type"))
        await sandbox.load(guest("prints"))
        own = BuiltinTools(sandbox)
        port = unused_tcp_port_factory()
        issuer.audience = RESOURCE.format(port=port)
        section = OAuthSection(issuer=issuer.url, audience=issuer.audience, subject_prefix="corp:")
        verifier = EitherOf((tokens_of(f"ann {STATIC}", "tokens"), signed_tokens(section)))
        resource = ProtectedResource(section.resource_url, section.issuer, section.scopes)
        async with served(sandbox, own=own, verifier=verifier, resource=resource, port=port) as listening:
            yield Front(listening, issuer, sandbox)


def challenge(answer: Answer) -> dict[str, str]:
    """The fields of a challenge."""
    scheme, _, fields = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    return {name: value.strip('"') for name, _, value in (field.partition("=") for field in fields.split(", "))}


async def test_who_comes_without_a_good_token_is_told_where_one_is_had(front: Front, issuer: Issuer) -> None:
    asked = {"realm": "sandbox", "resource_metadata": f"{front.served.url.removesuffix('/mcp')}{WELL_KNOWN}/mcp"}
    asked |= {"scope": " ".join(ORDINARY)}
    for path in (
        "/mcp",
        "/health",
        "/ready",
        "/metrics",
        "/api/v1/safety/check",
        "/",
        "//mcp",
        "/mcp/",
        "/MCP",
        f"{WELL_KNOWN}/",
    ):
        for method in ("POST", "GET", "DELETE", "PUT"):
            answer = await front.served.ask(method, path, b"{}")
            assert (answer.status, challenge(answer)) == (401, asked), (method, path)
    wrong = await front.served.ask(body={}, Authorization="Bearer nobody-has-got-this-token")
    assert challenge(wrong) == {**asked, "error": "invalid_token", "error_description": "this token is not one of this server's"}
    ended = await front.call(ECHO, issuer.token(exp=time.time() - 60))
    assert (ended.status, challenge(ended)["error_description"]) == (401, "this token has ended")


async def test_the_metadata_say_who_gives_tokens(front: Front, issuer: Issuer) -> None:
    for path in (WELL_KNOWN, f"{WELL_KNOWN}/mcp"):
        answer = await front.served.ask("GET", path)
        assert answer.json() == {
            "resource": issuer.audience,
            "authorization_servers": [issuer.url],
            "scopes_supported": list(ORDINARY),
            "bearer_methods_supported": ["header"],
            "resource_name": "sandbox",
        }
        assert (await front.served.ask("POST", path, b"{}")).status == 405


async def test_a_signed_token_and_a_static_one_of_one_name_are_two_subjects(front: Front) -> None:
    for token, name in ((front.token(sub="ann"), "corp:ann"), (STATIC, "ann")):
        assert not (await front.call(ECHO, token)).json()["result"]["isError"]
        assert front.records()[-1]["subject"] == name


async def test_a_name_in_another_tenant_is_somebody_else(front: Front) -> None:
    """ADM-02: neither the session nor the calls of the record are there."""
    section = OAuthSection(issuer=front.issuer.url, audience=front.issuer.audience, claims=ClaimNames(tenant="tid"))
    acme, other = (front.token(sub="ida", tid=tenant) for tenant in ("acme", "other"))
    async with served(front.sandbox, verifier=signed_tokens(section), token=acme) as tenants:
        session = await tenants.handshake()
        made = (await session.call(ECHO, x="a")).json()["result"]["_meta"]["sandbox/request"]
        for token, there in ((acme, True), (other, False)):
            read = await tenants.modern("resources/read", {"uri": "sandbox://record"}, Authorization=f"Bearer {token}")
            assert (made in read.body.decode()) is there
        called = {"name": ECHO, "arguments": {"x": "a"}}
        for method, params in (("ping", {}), ("tools/call", called)):
            assert (await session.ask(method, params, Authorization=f"Bearer {other}")).status == 404
    assert [one["tenant"] for one in front.records() if one["audit_id"] == made] == ["acme", "acme"]


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_call_that_needs_more_says_which_scopes(front: Front, era: str) -> None:
    """403 with the scopes needed, on record as a denied call; a static token, which nobody can widen, has a tool error."""
    token = front.token(sub=f"bob-{era}")
    before = len(front.records())
    if era == "modern":
        answer = await front.call(PRINT, token, {"text": "a"})
    else:
        session = await Served(front.served.url, front.served.stop, token).handshake()
        answer = await session.call(PRINT, text="a")
    told = challenge(answer)
    assert (answer.status, told["error"], told["scope"]) == (403, "insufficient_scope", BILLING)
    assert told["resource_metadata"].endswith(f"{WELL_KNOWN}/mcp")
    (denied,) = [one for one in front.records()[before:] if one["event"] == "access_denied"]
    assert (denied["subject"], denied["tool"], denied["rules"]) == (f"corp:bob-{era}", PRINT, ["scope:billing"])
    assert (await front.call(PRINT, front.token(scope=BILLING), {"text": "a"})).status == 200
    static = (await front.call(PRINT, STATIC, {"text": "a"})).json()["result"]
    assert static["isError"]


async def test_every_method_and_the_hosts_own_tools_ask_for_their_scopes(front: Front) -> None:
    nothing = front.token(sub="eve", scope='other "quoted\\ \u00e9')
    for method, params, needed in (
        ("tools/list", {}, "tools:read"),
        ("tools/call", {"name": ECHO, "arguments": {"x": "a"}}, "tools:invoke"),
        ("resources/list", {}, "resources:read"),
        ("resources/read", {"uri": "sandbox://record"}, "resources:read"),
        ("tools/call", {"name": "list_components", "arguments": {}}, "resources:read tools:invoke"),
        ("tools/call", {"name": "grant-network-permission", "arguments": {}}, "resources:write tools:invoke"),
        ("tools/call", {"name": "grant_environment_variable_permission", "arguments": {}}, "resources:write tools:invoke"),
    ):
        answer = await front.served.modern(method, params, Authorization=f"Bearer {nothing}")
        assert (answer.status, challenge(answer)["scope"]) == (403, f"other {needed}"), method


async def test_a_list_has_what_the_tokens_scopes_allow(front: Front) -> None:
    for scope, seen in ((" ".join(ORDINARY), False), (BILLING, True)):
        listed = await front.served.modern("tools/list", Authorization=f"Bearer {front.token(scope=scope)}")
        names = {tool["name"] for tool in listed.json()["result"]["tools"]}
        assert (PRINT in names, ECHO in names) == (seen, True)


async def test_a_session_goes_by_the_token_of_each_request(front: Front) -> None:
    """A later token with fewer rights has fewer, one with other roles has those; another subject has no such session."""
    session = await Served(front.served.url, front.served.stop, front.token(scope=BILLING)).handshake()
    assert (await session.call(PRINT, text="a")).status == 200
    session.served.token = front.token()
    assert (await session.call(PRINT, text="a")).status == 403
    assert not (await session.call(ECHO, x="a")).json()["result"]["isError"]
    session.served.token = front.token(roles=["guest"])
    assert (await session.call(ECHO, x="a")).json()["result"]["isError"]
    for other in (front.token(sub="bob"), STATIC):
        session.served.token = other
        assert (await session.call(ECHO, x="a")).status == 404


async def test_a_stream_ends_with_its_token_and_a_call_does_not(front: Front) -> None:
    """What listens in each era; the leeway is part of a token's time, so it is as good as gone when it comes."""
    for mode in ("handshake", "modern"):
        identity_ends = time.time() - 29
        brief = Served(front.served.url, front.served.stop, front.token(exp=identity_ends, sub=mode))
        async with asyncio.timeout(20):
            if mode == "handshake":
                session = await brief.handshake()
                ended = await brief.ask("GET", Mcp_Session_Id=session.id, Accept="text/event-stream")
            else:
                wants = {"notifications": {"toolsListChanged": True}}
                ended = await brief.modern("subscriptions/listen", wants)
        assert (ended.status, ended.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert (await brief.modern("tools/list")).status == 401


async def test_who_came_is_on_record_once_and_a_flood_of_wrong_tokens_is_not(front: Front) -> None:
    token = front.token(sub="once", roles=["reader"])
    before = len(front.records())
    for _ in range(3):
        assert (await front.call(ECHO, token)).status == 200
    (came,) = [one for one in front.records()[before:] if one["event"] == "auth_success"]
    assert (came["subject"], came["detail"]["roles"], came["detail"]["issuer"]) == ("corp:once", ["reader"], front.issuer.url)
    bad = "nobody-has-got-this-secret-token"
    for _ in range(BURST + 20):
        assert (await front.served.ask("GET", "/health", Authorization=f"Bearer {bad}")).status == 401
    failed = [one for one in front.records() if one["event"] == "auth_failure"]
    assert BURST - 20 < len(failed) <= BURST + 5
    assert (failed[-1]["reason"], failed[-1]["address"], failed[-1]["subject"]) == ("malformed", "127.0.0.1", None)
    assert bad not in json.dumps(front.records())


async def test_without_the_issuers_keys_nobody_is_let_in_and_is_told_so(front: Front) -> None:
    with issuing("https://tools.example.com/mcp") as away:
        away.answers[f"{REALM}/keys"] = (500, b"")
        verifier = signed_tokens(OAuthSection(issuer=away.url, audience=away.audience))
        async with served(front.sandbox, verifier=verifier) as other:
            refused = await other.ask("GET", "/health", Authorization=f"Bearer {away.token()}")
    assert (refused.status, refused.headers["retry-after"]) == (503, "30")


# The official clients, from nothing to a call.


class Storage:
    """What a client keeps."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def with_a_browser(front: Front, storage: Storage) -> OAuthClientProvider:
    """A client of the SDK whose person says yes to everything."""
    sent: list[httpx2.URL] = []

    async def opened(url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            sent.append(httpx2.URL((await browser.get(url)).headers["location"]))

    async def called_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=sent[-1].params["code"], state=sent[-1].params["state"])

    about = OAuthClientMetadata(client_name="test", redirect_uris=[AnyUrl("http://127.0.0.1:9/callback")])
    return OAuthClientProvider(front.served.url, about, storage, opened, called_back)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("flow", ["code", "credentials"])
async def test_the_python_client_gets_its_token_by_itself_and_steps_up(front: Front, flow: str, mode: Any) -> None:
    """Discovery, registration, a code with PKCE (or its own credentials), and once more where a tool needs another scope."""
    storage = Storage()
    if flow == "code":
        auth: httpx2.Auth = with_a_browser(front, storage)
    else:
        auth = ClientCredentialsOAuthProvider(front.served.url, storage, "robot", "its-secret", issuer=front.issuer.url)
    front.issuer.asked.clear()
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        Client(streamable_http_client(front.served.url, http_client=http), mode=mode) as client,
    ):
        assert not (await client.call_tool(ECHO, {"x": "a"})).is_error
        assert storage.tokens is not None
        assert set((storage.tokens.scope or "").split()) == set(ORDINARY)
        assert not (await client.call_tool(PRINT, {"text": "a"})).is_error
        assert "billing" in (storage.tokens.scope or "").split()
    assert front.issuer.asked.count(f"{REALM}/token") == 2
    assert (f"{REALM}/authorize" in front.issuer.asked) is (flow == "code")
