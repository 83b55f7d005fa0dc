"""The head of an HTTP request, as it was sent."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Scope


class Request:
    """The head of a request, as it was sent."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.path: str = scope["raw_path"].decode("latin-1")
        self._values: dict[bytes, list[str]] = {}
        for name, value in self.headers:
            self._values.setdefault(name, []).append(value.decode("latin-1"))

    @property
    def peer(self) -> str:
        """Who is at the other end of the connection."""
        return str((self.scope.get("client") or ("somebody",))[0])

    def all(self, name: bytes) -> Sequence[str]:
        """Every value of a header."""
        return self._values.get(name, ())

    def one(self, name: bytes) -> str | None:
        """The first value of a header."""
        values = self._values.get(name)
        return None if values is None else values[0]
