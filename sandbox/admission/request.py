"""What is asked, and what was decided: the values that go into the authorizer and come out of it.

Decides nothing. The arguments themselves stay outside: a decision is bound to their digest, so what was admitted is byte
for byte what runs. Rule: every value is frozen and holds nothing that a later step could change.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType

from sandbox.wit.types import Digest

RequestId = NewType("RequestId", str)
"""128 random bits as 32 hexadecimal digits: one call, in its records, its result and its denials."""


def new_request_id() -> RequestId:
    """A fresh id that nobody can guess."""
    return RequestId(secrets.token_hex(16))


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, ASCII only.

    Raises ValueError for what JSON cannot carry (NaN, an infinity, a nesting beyond the interpreter's), TypeError for a
    Python value that is none of JSON's.
    """
    try:
        return _ENCODER.encode(value).encode("ascii")
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None


def digest_of(canonical: bytes) -> str:
    """The SHA-256 of a canonical spelling, in hexadecimal digits."""
    return hashlib.sha256(canonical).hexdigest()


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call that somebody asks for.

    `digest` is None where no loaded component has a tool of that name: such a request is decided and recorded like any
    other. `generation` is that of the template the call would run under.
    """

    request_id: RequestId
    subject: str
    tool: str
    component: str
    digest: Digest | None
    arguments_digest: str
    generation: str
    session: str | None = None


class Ruling(StrEnum):
    """What is decided about a call."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request, with the names of the rules that decided and one line that says why."""

    effect: Ruling
    rules: tuple[str, ...]
    reason: str

    @property
    def allowed(self) -> bool:
        """Whether the call may run."""
        return self.effect is Ruling.ALLOW
