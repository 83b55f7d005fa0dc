"""The way from the front to the HTTP API, which is imported by the first request for it: whoever serves MCP alone does not pay.

Decides that what the front refuses there is told in the API's form, too.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.server.http.answers import Answer
from sandbox.server.http.protected import ProtectedResource
from sandbox.server.http.request import Request
from sandbox.server.server import SandboxServer

_PACKAGE = "sandbox.server.http.api"


@dataclass(slots=True)
class Beside:
    """The API beside MCP, of one server."""

    server: SandboxServer
    resource: ProtectedResource | None = None
    _api: Any = field(default=None)

    async def answer(self, request: Request, body: Callable[[], Awaitable[bytes | Answer]]) -> Answer:
        """The answer to a request whose head and token have passed; `body` reads its body."""
        if self._api is None:
            # Beside the loop: it takes a tenth of a second, and calls go on.
            module = await asyncio.to_thread(importlib.import_module, f"{_PACKAGE}.application")
            self._api = self._api or module.Api(self.server, self.resource)
        answer: Answer = await self._api.answer(request, body)
        return answer

    @staticmethod
    def refused(answer: Answer) -> Answer:
        """What the front says by itself, as the API would say it."""
        said: Answer = importlib.import_module(f"{_PACKAGE}.problems").as_problem(answer)
        return said
