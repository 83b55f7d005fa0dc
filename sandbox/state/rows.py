"""What lies in the store's rows, as values: components, their policies' versions, denials and grants, to a row and back.

Decides nothing. A row that does not read as what it should be raises, and is never skipped: it may be a grant or a denial.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, cast

from sandbox.errors import Code, HostUnavailable
from sandbox.host.outcome import Denial
from sandbox.policy.grants import Grant, GrantKind, Lifetime
from sandbox.template.template import Effect
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class StoredComponent:
    """A name, the component it stands for, and the document that was accepted for it; by nobody where `accepted_by` is empty."""

    name: str
    digest: Digest
    path: str
    policy_file: str
    policy_text: str
    accepted_by: str
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Installed:
    """A component of the registry: what `name` stands for, where it came from, and the policy that it asks for, as it asks.

    `surface` is the digest of the component whose tools and imports were accepted last; where it is another than `digest`, an
    update waits for its acceptance. `decided` is whether somebody has decided about what it asks for, `tools` how many it has.
    """

    name: str
    digest: Digest
    surface: Digest
    source: str
    size: int
    tools: int
    request_file: str
    request_text: str | None
    decided: bool
    installed_at: float

    @property
    def accepted(self) -> bool:
        """Whether somebody accepted the tools and imports that it has now."""
        return self.digest == self.surface


@dataclass(frozen=True, slots=True)
class Described:
    """What a component was described as: its world and its tools, as text, and by whom the tools were worked out."""

    world: str
    listing: str
    made_by: str


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A document that was accepted for a component once: its number, the component's digest then, who, and when."""

    component: str
    version: int
    digest: Digest
    policy_file: str
    policy_text: str
    accepted_by: str
    accepted_at: float


@dataclass(frozen=True, slots=True)
class StoredDenial:
    """One refused effect, whole, host path included: for the operator's terminal."""

    id: str
    at: float
    component: str
    digest: Digest
    tool: str
    subject: str
    request_id: str
    denial: Denial


def grant_row(grant: Grant) -> tuple[Any, ...]:
    """The values of a new grant's row, in the order of the table."""
    entry = json.dumps(grant.entry, sort_keys=True)
    head = (grant.id, grant.component_name, grant.digest, grant.kind, grant.effect.value, entry, grant.who, grant.why)
    when = (grant.created_at, grant.expires_at, grant.max_uses, grant.uses, None, None)
    return (*head, *when, grant.lifetime, grant.session, grant.keeper)


def grant_of(row: sqlite3.Row) -> Grant:
    """The grant in a row; raises HostUnavailable for one that is none, since it may have been a deny."""
    try:
        return Grant(
            id=row["id"],
            component_name=row["component"],
            digest=Digest(row["digest"]),
            kind=cast(GrantKind, row["kind"]),
            entry=dict(json.loads(row["entry"])),
            effect=Effect(row["effect"]),
            who=row["who"],
            why=row["why"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            max_uses=row["max_uses"],
            uses=row["uses"],
            lifetime=cast(Lifetime, row["lifetime"]),
            session=row["session"],
            keeper=row["keeper"],
        )
    except (ValueError, TypeError) as error:
        raise HostUnavailable(f"the stored grant `{row['id']}` is none: {error}", help="revoke it") from error


def component_of(row: sqlite3.Row) -> StoredComponent:
    """The component in a row."""
    return StoredComponent(*row)


def installed_of(row: sqlite3.Row) -> Installed:
    """The installed component in a row."""
    return Installed(**{**dict(row), "decided": bool(row["decided"])})


def version_of(row: sqlite3.Row) -> PolicyVersion:
    """The version in a row."""
    return PolicyVersion(*row)


def denial_row(one: StoredDenial) -> tuple[Any, ...]:
    """The values of a new denial's row, without its number."""
    denial = {name: getattr(one.denial, name) for name in ("code", "target", "reason", "origin", "private")}
    head = (one.id, one.at, one.component, one.digest, one.tool, one.subject, one.request_id)
    return (*head, json.dumps(denial))


def denial_of(row: sqlite3.Row) -> StoredDenial:
    """The denial in a row."""
    told = json.loads(row["denial"])
    denial = Denial(Code(told["code"]), told["target"], told["reason"], told["origin"], told["private"])
    names = ("id", "at", "component", "digest", "tool", "subject", "request_id")
    return StoredDenial(**{name: row[name] for name in names}, denial=denial)
