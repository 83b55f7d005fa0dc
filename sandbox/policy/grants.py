"""Grants: entries added to a document while a component is in use, and the document that they make of it.

A grant is one entry under the same schema as a line of a document, as an object: for which component, who, why, until when,
for how many calls. Nothing here is stored or decided; `sandbox.state` keeps grants, the ceiling is applied when the document
is compiled, and the clock is a parameter.

Rules: what a grant adds is added beside the document's lines, and a deny of either wins; a limit that is granted replaces the
document's, a variable that is granted replaces the document's line of that name. An expired or used-up grant is no grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sandbox.errors import GrantError
from sandbox.policy.effect import Effect
from sandbox.policy.entries import (
    Entry,
    EnvironmentAllow,
    EnvironmentDeny,
    NetworkAllow,
    NetworkEntry,
    StorageAllow,
    StorageAsk,
    StorageDeny,
)
from sandbox.policy.models import Environment, Network, Permissions, PolicyDocument, ResourceLimits, Resources, Storage
from sandbox.policy.problems import nothing_written, validate
from sandbox.policy.tree import Tree
from sandbox.wit.types import Digest

_Model = TypeVar("_Model", bound=Entry | ResourceLimits)


GrantKind = Literal["storage", "network", "environment", "resource"]
"""The section of a document that a grant belongs to."""

SIZES = ("max_file_size", "max_total_size")
"""What bounds the files of a storage entry."""

Lifetime = Literal["once", "session", "lasting"]
"""How long a grant holds, its expiry and its uses aside: one call; a session's calls, until that ends; until it is ended."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry granted or denied at run time; times are seconds since the epoch, UTC.

    `digest` is the component's that it is bound to: another component under the same name has none of it. `entry` is the
    entry as a document would write it, for a resource the limits. `max_uses` counts calls; None is without end. With a
    `session` it holds for the calls of that session alone; `keeper` is the process in which the session lives.
    """

    id: str
    component_name: str
    digest: Digest
    kind: GrantKind
    entry: Mapping[str, Any]
    who: str
    created_at: float
    effect: Effect = Effect.ALLOW
    why: str = ""
    expires_at: float | None = None
    max_uses: int | None = None
    uses: int = 0
    lifetime: Lifetime = "lasting"
    session: str | None = None
    keeper: str | None = None

    def holds(self, now: float) -> bool:
        """Whether the grant is neither expired nor used up."""
        return (self.expires_at is None or now < self.expires_at) and (self.max_uses is None or self.uses < self.max_uses)

    @property
    def origin(self) -> str:
        """How a rule or a limit names this grant as where it comes from."""
        return f"grant {self.id}"


def make_entry_storage(
    uri: str,
    access: Iterable[str] = (),
    *,
    mount: str | None = None,
    max_file_size: str | None = None,
    max_total_size: str | None = None,
    effect: str = "allow",
) -> dict[str, Any]:
    """A storage entry as plain data; raises `GrantError` where a document could not hold it."""
    sizes = {"max_file_size": max_file_size, "max_total_size": max_total_size}
    return make_entry("storage", {"uri": uri, "access": list(access) or None, "mount": mount, **sizes}, effect)


def make_entry_network(
    host: str | None = None,
    *,
    cidr: str | None = None,
    ports: Iterable[int | str] | None = None,
    protocols: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    paths: Iterable[str] | None = None,
    limits: Mapping[str, str | int] | None = None,
    effect: str = "allow",
) -> dict[str, Any]:
    """A network entry as plain data; raises `GrantError` where a document could not hold it."""
    lists = {"ports": ports, "protocols": protocols, "methods": methods, "paths": paths}
    written = {name: None if items is None else list(items) for name, items in lists.items()}
    return make_entry("network", {"host": host, "cidr": cidr, **written, "limits": dict(limits) if limits else None}, effect)


def make_entry_environment(key: str, *, value: str | None = None, effect: str = "allow") -> dict[str, Any]:
    """An environment entry as plain data; raises `GrantError` where a document could not hold it."""
    return make_entry("environment", {"key": key, "value": value}, effect)


def make_entry_resource(**limits: str | int | None) -> dict[str, Any]:
    """Limits as plain data (`memory="128Mi"`); raises `GrantError` where a document could not hold them."""
    return make_entry("resource", limits, "allow")


def make_entry(kind: GrantKind, written: Mapping[str, Any], effect: str = "allow") -> dict[str, Any]:
    """An entry of any kind as plain data in its one spelling; what is None counts as left out. Raises `GrantError`."""
    data = {name: value for name, value in written.items() if value is not None}
    entry = _read(_model(kind, effect), data, kind)
    plain = entry.model_dump(mode="json", exclude_none=True)
    if not plain:
        raise GrantError("the grant names no limit", help="name one: `memory`, `cpu_time`, `wall_time`, `output`, …")
    return plain


def with_grants(document: PolicyDocument, grants: Iterable[Grant], now: float) -> PolicyDocument:
    """The document with the entries of the grants that hold at `now`, in the order they were made.

    The caller gives the grants of this component's digest. Raises `GrantError` for a stored entry that is no entry.
    """
    held = sorted((grant for grant in grants if grant.holds(now)), key=lambda grant: (grant.created_at, grant.id))
    if not held:
        return document
    parts = document.permissions
    permissions = Permissions(
        storage=Storage(
            allow=(*parts.storage.allow, *_entries(held, "storage", "allow", StorageAllow)),
            ask=(*parts.storage.ask, *_entries(held, "storage", "ask", StorageAsk)),
            deny=(*parts.storage.deny, *_entries(held, "storage", "deny", StorageDeny)),
        ),
        network=Network(
            allow=(*parts.network.allow, *_entries(held, "network", "allow", NetworkAllow)),
            deny=(*parts.network.deny, *_entries(held, "network", "deny", NetworkEntry)),
        ),
        environment=_environment(parts.environment, held),
        resources=Resources(limits=_limits(parts.resources.limits, held)),
        state=parts.state,
    )
    merged = PolicyDocument(version="2.0", description=document.description, permissions=permissions)
    return merged.noted("1.0" if document.written_version == "1.0" else "2.0", document.waivers, document.warnings)


def _environment(written: Environment, held: list[Grant]) -> Environment:
    granted = _entries(held, "environment", "allow", EnvironmentAllow)
    by_key = {entry.key: entry for entry in (*written.allow, *granted)}
    return Environment(
        allow=tuple(by_key.values()),
        deny=(*written.deny, *_entries(held, "environment", "deny", EnvironmentDeny)),
    )


def _limits(written: ResourceLimits, held: list[Grant]) -> ResourceLimits:
    values, origins = written.model_dump(exclude_none=True), written.origins
    for grant in held:
        if grant.kind == "resource":
            _model(grant.kind, grant.effect)
            values |= grant.entry
            origins |= dict.fromkeys(grant.entry, grant.origin)
    return _read(ResourceLimits, values, "resource").from_lines(origins)


_Line = TypeVar("_Line", bound=Entry)


def _entries(held: list[Grant], kind: GrantKind, effect: str, model: type[_Line]) -> tuple[_Line, ...]:
    mine = (grant for grant in held if grant.kind == kind and grant.effect == effect)
    return tuple(_read(model, dict(grant.entry), kind).from_grant(grant.origin) for grant in mine)


def _model(kind: GrantKind, effect: str) -> type[Entry | ResourceLimits]:
    models: dict[tuple[GrantKind, str], type[Entry | ResourceLimits]] = {
        ("storage", "allow"): StorageAllow,
        ("storage", "ask"): StorageAsk,
        ("storage", "deny"): StorageDeny,
        ("network", "allow"): NetworkAllow,
        ("network", "deny"): NetworkEntry,
        ("environment", "allow"): EnvironmentAllow,
        ("environment", "deny"): EnvironmentDeny,
        ("resource", "allow"): ResourceLimits,
    }
    model = models.get((kind, effect))
    if model is None:
        help_ = "write `allow`, or `deny` for what is no limit; `ask` is of storage alone"
        raise GrantError(f"`{effect}` is no effect of a {kind} grant", help=help_)
    return model


def _read(model: type[_Model], data: dict[str, Any], kind: GrantKind) -> _Model:
    _refuse_by_name(data, kind)
    tree = Tree("grant")
    entry, problems = validate(model, data, tree)
    problems += nothing_written(data, tree)
    if entry is None or problems:
        said = "; ".join(problem.message for problem in problems)
        raise GrantError(f"{kind} grant: {said}", help="; ".join(problem.help for problem in problems if problem.help) or None)
    return entry


_NOT_GRANTED = {
    ("network", "credential"): "a grant carries no credential",
    ("environment", "secret"): "a grant gives no secret",
}
"""What only a document gives that the operator accepted, by kind and key."""


def _refuse_by_name(data: dict[str, Any], kind: GrantKind) -> None:
    for name in data:
        if (told := _NOT_GRANTED.get((kind, name))) is not None:
            raise GrantError(f"{kind} grant: {told}", help=f"write the line with `{name}` into the component's policy")


__all__ = [
    "SIZES",
    "Grant",
    "GrantKind",
    "Lifetime",
    "make_entry",
    "make_entry_environment",
    "make_entry_network",
    "make_entry_resource",
    "make_entry_storage",
    "with_grants",
]
