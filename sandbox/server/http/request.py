"""The head of an HTTP request, as it was sent."""

from __future__ import annotations

from starlette.types import Scope


class Request:
    """The head of a request, as it was sent."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.path: str = scope["raw_path"].decode("latin-1")

    @property
    def peer(self) -> str:
        """Who is at the other end of the connection."""
        return str((self.scope.get("client") or ("somebody",))[0])

    def all(self, name: bytes) -> list[str]:
        """Every value of a header."""
        return [value.decode("latin-1") for each, value in self.headers if each == name]

    def one(self, name: bytes) -> str | None:
        """The first value of a header."""
        return next((value.decode("latin-1") for each, value in self.headers if each == name), None)
