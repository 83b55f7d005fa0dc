"""What is asked: the value that goes into the authorizer.

Decides nothing. A decision is bound to the digest of the arguments, so what was admitted is byte for byte what runs. Rule: the
value is frozen, and nobody changes the arguments behind it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from sandbox.admission.subject import Subject, nothing
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
class Resource:
    """What a request is about: a name of parts (`reports/2026/q3`), and what the application knows of it."""

    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=nothing, hash=False)


NO_RESOURCE = Resource()


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call that somebody asks for; an application without components names an action and a resource instead of a tool.

    `digest` is None where no loaded component has a tool of that name: such a request is decided and recorded like any
    other. `generation` is that of the template the call would run under. `arguments` are the canonical decoded values.
    `action` is the caller's word for what is done; `kinds` are the kinds of action that the template makes possible.
    `metadata` (address, user agent, trace) is what the caller says of itself: it gives no rights. `left_out` names arguments that
    are none of JSON's values: no condition and no content rule sees them.
    """

    request_id: RequestId
    subject: Subject
    tool: str = ""
    component: str = ""
    digest: Digest | None = None
    arguments_digest: str = ""
    generation: str = ""
    session: str | None = None
    action: str = ""
    resource: Resource = NO_RESOURCE
    arguments: Mapping[str, Any] = field(default_factory=nothing, hash=False)
    metadata: Mapping[str, Any] = field(default_factory=nothing, hash=False)
    kinds: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def subject_id(self) -> str:
        """The name of who asks."""
        return self.subject.id
