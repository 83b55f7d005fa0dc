"""What an operation of the HTTP API is, and which one a request asks for.

A value: its place, who may ask for it, what it takes and gives, what does it. The routes and the OpenAPI document are both made
of these, so that neither says what the other does not. Pure.

Rule: paths are compared as they were sent, segment by segment; only the value of a parameter may be percent-encoded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from sandbox.admission.subject import Subject, nothing
from sandbox.api import Sandbox
from sandbox.policy.entries import Strict
from sandbox.server.http.api.queries import Nothing
from sandbox.server.http.names import API as BASE

INVOKE, READ, WRITE, ADMIN = "tools:invoke", "resources:read", "resources:write", "admin"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be done: by whom, and what it says. `sees_all` is whether they see more than what is their own."""

    sandbox: Sandbox
    who: Subject
    sees_all: bool
    parameters: Mapping[str, str]
    query: Any
    body: Any
    key: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=nothing)


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its answer, as the document shows them."""

    answer: Mapping[str, Any]
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Another operation that may follow an answer: its parameter or body field, and where in the answer its value stands."""

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    `scopes` are all needed. `changes` is put on record before it is done. `needs_token` is refused where nobody is asked for one.
    `refusals` are the statuses that are its own, each with its meaning. `once` says that it takes an `Idempotency-Key`.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    scopes: tuple[str, ...]
    does: Callable[[Asked], Awaitable[BaseModel]]
    gives: type[BaseModel]
    example: Example
    takes: type[Strict] | None = None
    query: type[Strict] = Nothing
    parameters: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    changes: bool = False
    needs_token: bool = False
    once: bool = False
    refusals: Mapping[int, str] = field(default_factory=dict)
    links: Sequence[Link] = ()

    @property
    def segments(self) -> tuple[str, ...]:
        """Its path's parts."""
        return tuple(self.path.split("/"))

    def fits(self, segments: Sequence[str]) -> bool:
        """Whether these are its path."""
        pairs = zip(self.segments, segments, strict=False)
        return len(self.segments) == len(segments) and all(
            (_is_parameter(own) and sent != "") or own == sent for own, sent in pairs
        )

    def values(self, segments: Sequence[str]) -> dict[str, str]:
        """The values of its parameters. Raises UnicodeDecodeError for what is no text."""
        pairs = zip(self.segments, segments, strict=True)
        return {own[1:-1]: unquote(sent, errors="strict") for own, sent in pairs if _is_parameter(own)}


def operations_at(segments: tuple[str, ...], operations: Sequence[Operation]) -> dict[str, Operation]:
    """What may be asked for there, by method. A path that is written out is no value of a parameter."""
    exact = [one for one in operations if one.segments == segments]
    return {one.method: one for one in exact or [one for one in operations if one.fits(segments)]}


def segments_of(path: str) -> tuple[str, ...]:
    """What stands behind the base, in parts; nothing is made one that is not."""
    return tuple(path.removeprefix(f"{BASE}/").split("/"))


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")
