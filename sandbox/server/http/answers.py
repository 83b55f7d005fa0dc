"""What the front says by itself, before MCP has a word."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from starlette.types import Send

from sandbox.server.wire import Refusal

Header = tuple[bytes, bytes]
JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with a short body."""

    status: int
    text: str = ""
    headers: tuple[Header, ...] = field(default=())
    kind: bytes = b"text/plain; charset=utf-8"

    async def send(self, send: Send, *more: Header) -> None:
        """Write it. Nothing here is for a cache or for a page to run."""
        body = self.text.encode()
        fixed = ((b"content-type", self.kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store"))
        headers = [*fixed, (b"x-content-type-options", b"nosniff"), *self.headers, *more]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def refused(refusal: Refusal) -> Answer:
    """A message that was not taken, as JSON-RPC says it."""
    return Answer(400, refusal.model_dump_json(by_alias=True, exclude_unset=True), kind=JSON)


def told(status: int, body: dict[str, object]) -> Answer:
    """A JSON object."""
    return Answer(status, json.dumps(body), kind=JSON)
