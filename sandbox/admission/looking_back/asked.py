"""What a record keeps of a request, so that another document can be asked about it later, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.admission.request import CallRequest, RequestId
from sandbox.admission.subject import SHIPPED_SCOPES, Subject

ASKED = "asked"
"""Where a record keeps what it knows of a request besides its own fields."""


def told_of(request: CallRequest) -> dict[str, Any]:
    """What a record keeps of a request that an admission document decides about."""
    subject = request.subject
    told: dict[str, Any] = {"roles": list(subject.roles), "scopes": list(subject.scopes), "kinds": list(request.kinds)}
    more = {
        "tenant": subject.tenant,
        "action": request.action,
        "claims": dict(subject.claims),
        "metadata": dict(request.metadata),
    }
    return {**told, **{name: value for name, value in more.items() if value}}


def request_of(record: Mapping[str, Any]) -> CallRequest:
    """The request that a record is of; of one from before any document, whoever sits at the machine."""
    asked = (record.get("detail") or {}).get(ASKED) or {"scopes": SHIPPED_SCOPES}
    roles, scopes = tuple(asked.get("roles", ())), tuple(asked.get("scopes", ()))
    subject = Subject(str(record.get("subject") or ""), roles, asked.get("tenant"), scopes, asked.get("claims", {}))
    arguments = record.get("arguments")
    return CallRequest(
        RequestId(str(record["audit_id"])),
        subject,
        str(record.get("tool") or ""),
        str(record.get("component") or ""),
        session=record.get("session"),
        action=asked.get("action", ""),
        arguments=arguments if isinstance(arguments, dict) else {},
        metadata=asked.get("metadata", {}),
        kinds=tuple(asked.get("kinds", ())),
    )
