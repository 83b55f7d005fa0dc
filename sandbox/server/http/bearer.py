"""The token of a request: asked for, verified, and put beside the request.

Decides what is answered to a request without a token, or with one that stands for nobody. Leaves whether one is good to the
verifiers, and the record to `sandbox.server.http.witness`.

Rules: one `Authorization` field, of the scheme `Bearer`, and no token anywhere else; a client is told that its token has ended,
so that it gets another, and of a wrong one no more than that; where the issuer does not answer nobody is let in, and told so.

Source: RFC 6750, 2.1, 3.1; MCP 2025-11-25, "Authorization", token handling.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.errors import HostUnavailable
from sandbox.server.clients import metadata_in
from sandbox.server.http.answers import Answer
from sandbox.server.http.identity import Identity, Refused, Verifier, Why
from sandbox.server.http.oauth.keys import AGAIN_SECONDS
from sandbox.server.http.protected import ProtectedResource, challenge
from sandbox.server.http.request import Request
from sandbox.server.http.witness import Witness

_WRONG = "this token is not one of this server's"
_TOLD = {Why.EXPIRED: "this token has ended"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who is asked for a token, by whom it is verified, and who notes it; `resource` is told where an issuer gives tokens."""

    verifier: Verifier
    resource: ProtectedResource | None
    witness: Witness

    async def refuse(self, request: Request) -> Answer | None:
        """The answer to a request that stands for nobody; else its identity is in its scope."""
        credentials = request.all(b"authorization")
        if not credentials:
            return Answer(401, "a bearer token is needed", challenge(self.resource))
        found = await self._verified(credentials)
        if isinstance(found, Refused):
            _log.warning("a request from %s has a token that is none: %s", request.peer, found.why.value)
            self.witness.refused(found.why, metadata_in(request.scope))
            return self._refusal(found.why)
        if not found.noted:
            try:
                self.witness.accepted(found, metadata_in(request.scope))
            except HostUnavailable as error:
                _log.error("nobody is let in: %s", error)
                return Answer(503, "this host cannot write its record, and lets nobody in until it can")
        request.scope["user"] = found
        return None

    async def _verified(self, credentials: Sequence[str]) -> Identity | Refused:
        scheme, _, token = credentials[0].partition(" ")
        if len(credentials) != 1 or scheme.lower() != "bearer":
            return Refused(Why.MALFORMED)
        return await self.verifier.verify(token.strip(" "))

    def _refusal(self, why: Why) -> Answer:
        if why is Why.UNAVAILABLE:
            retry = ((b"retry-after", str(int(AGAIN_SECONDS)).encode()),)
            return Answer(503, "the issuer of tokens does not answer, so none can be checked", retry)
        told = _TOLD.get(why, _WRONG)
        return Answer(401, told, challenge(self.resource, "invalid_token", told))


@dataclass(frozen=True, slots=True)
class EitherOf:
    """Several verifiers: whom the first stands for that knows the token; of the refusals, the last one's."""

    verifiers: tuple[Verifier, ...]

    async def verify(self, token: str) -> Identity | Refused:
        """Whom a token stands for."""
        found: Identity | Refused = Refused(Why.UNKNOWN)
        for verifier in self.verifiers:
            found = await verifier.verify(token)
            if isinstance(found, Identity):
                return found
        return found
