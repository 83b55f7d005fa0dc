"""In the era without sessions each subject has one: of one tenant, and of one server's run."""

from __future__ import annotations

import pytest
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from sandbox.admission import Subject
from sandbox.server.clients import Clients
from sandbox.server.http.identity import Identity


async def _ended(_: str) -> None:
    """Nothing hears of it."""


def session(clients: Clients, subject: str, tenant: str | None) -> str:
    return clients.without_session({"user": Identity(Subject(subject, tenant=tenant))}).session


def test_two_tenants_subjects_of_one_name_share_no_session() -> None:
    clients = Clients(_ended)
    asked = [("ann", "acme"), ("ann", "other"), ("ann", None), ("ann acme", None), ("eve", "acme")]
    found = [session(clients, *who) for who in asked]
    assert len(set(found)) == len(asked)
    assert found == [session(clients, *who) for who in asked]
    assert found[0] != session(Clients(_ended), "ann", "acme")


def test_a_user_that_no_verifier_made_is_nobody() -> None:
    token = AccessToken(token="", client_id="ann", subject="ann", scopes=[])
    with pytest.raises(TypeError, match="is no identity"):
        Clients(_ended).without_session({"user": AuthenticatedUser(token)})
