"""In the era without sessions each subject has one: of one tenant, and of one server's run."""

from __future__ import annotations

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken

from sandbox.server.clients import Clients


async def _ended(_: str) -> None:
    """Nothing hears of it."""


def session(clients: Clients, subject: str, tenant: str | None) -> str:
    claims = {} if tenant is None else {"tenant": tenant}
    token = AccessToken(token="token", client_id=subject, subject=subject, scopes=[], claims=claims)
    return clients.without_session({"user": AuthenticatedUser(token)}).session


def test_two_tenants_subjects_of_one_name_share_no_session() -> None:
    clients = Clients(_ended)
    asked = [("ann", "acme"), ("ann", "other"), ("ann", None), ("ann acme", None), ("eve", "acme")]
    found = [session(clients, *who) for who in asked]
    assert len(set(found)) == len(asked)
    assert found == [session(clients, *who) for who in asked]
    assert found[0] != session(Clients(_ended), "ann", "acme")
