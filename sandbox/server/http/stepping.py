"""Tell a client over HTTP which scopes its token lacks, so that it can ask its issuer for one that has them.

Decides only that such a refusal is HTTP's 403 and no JSON-RPC answer. Which scopes a message needs is the admission document's
word (`Sandbox.lacks`), the same that decides the call; a call that is refused so is on record as any refused call.

Rules: only whom an issuer named is told so. The maker of a static token has said what it may do, and no client can change that.
What is told holds the scopes that the token has too: a client that asks for those of one message alone would lose the others.

Source: MCP 2025-11-25, "Authorization", scope challenge handling; RFC 6750, 3.1 (`insufficient_scope`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import mcp.types as t

from sandbox.admission.words import Method
from sandbox.server.clients import metadata_in
from sandbox.server.http.answers import Answer
from sandbox.server.http.identity import identity_in
from sandbox.server.http.protected import ProtectedResource, challenge
from sandbox.server.http.request import Request
from sandbox.server.server import SandboxServer

MOST_HAD = 64
# RFC 6749, 3.3: what may stand in quotes.
_SCOPE = re.compile(r"[!#-\[\]-~]{1,128}", re.ASCII)
_METHODS: Mapping[str, Method] = {
    "tools/list": Method.LIST,
    "tools/call": Method.CALL,
    "resources/list": Method.READ,
    "resources/templates/list": Method.READ,
    "resources/read": Method.READ,
    "resources/subscribe": Method.READ,
    "completion/complete": Method.READ,
}


async def insufficient(
    server: SandboxServer, resource: ProtectedResource | None, request: Request, message: t.JSONRPCRequest
) -> Answer | None:
    """The answer to a message that the request's token has not the scopes for; None where it has, or is no issuer's."""
    identity, method = identity_in(request.scope), _METHODS.get(message.method)
    if resource is None or identity is None or identity.issuer is None or method is None:
        return None
    name = (message.params or {}).get("name") if method is Method.CALL else None
    tool, method = server.meant(name) if isinstance(name, str) else ("", method)
    missing = await server.sandbox.lacks(identity.who, method, tool, metadata_in(request.scope))
    if not missing:
        return None
    told = f"{message.method} needs more than this token has: {', '.join(missing)}"
    had = [scope for scope in identity.who.scopes if _SCOPE.fullmatch(scope)][:MOST_HAD]
    return Answer(403, told, challenge(resource, "insufficient_scope", told, (*had, *missing)))
