"""The sessions of clients of the handshake era: how many there may be, and what the SDK may log of them.

Rules: no token holds more sessions than are free, so that one alone never keeps the others out; the id of a session is a secret
of its client's, and stands in no log.
"""

from __future__ import annotations

import logging
import re

from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from sandbox.server.http.front import MAX_BODY_BYTES
from sandbox.server.server import SandboxServer

MAX_SESSIONS = 1000
IDLE_SECONDS = 1800.0
_LOGGERS = ("mcp.server.streamable_http", "mcp.server.streamable_http_manager")
_ID = re.compile(r"\b[0-9a-f]{32}\b")
_log = logging.getLogger(__name__)


class Sessions(StreamableHTTPSessionManager):
    """The SDK's sessions, shared between the tokens."""

    def __init__(self, server: SandboxServer, most: int = MAX_SESSIONS) -> None:
        super().__init__(server, session_idle_timeout=IDLE_SECONDS, max_request_body_size=MAX_BODY_BYTES, max_sessions=most)
        self._most = most
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_no_ids)

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        # Private to the SDK, and its only place that knows both whose a session will be and which there are.
        held = sum(owner == requestor for owner in self._session_owners.values())
        if requestor is not None and held >= self._most - len(self._server_instances):
            _log.warning("`%s` has %d sessions, as many as are free: it opens no other", requestor["subject"], held)
            return None
        return super()._admit_session(requestor)


def _no_ids(record: logging.LogRecord) -> bool:
    """Drop what the SDK says of sessions in passing, which names them; of what went wrong, the id."""
    if record.levelno < logging.WARNING:
        return False
    record.msg, record.args = _ID.sub("(its id)", record.getMessage()), ()
    return True
