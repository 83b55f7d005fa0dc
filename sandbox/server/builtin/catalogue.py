"""The host's own tools as they are listed: their names, what they say of themselves, their schemas and hints.

Decides which there are and which other names mean them. Names are those of `sandbox.wit.reserved`, in the one spelling with
underscores; `grant-storage-permission` and the existing ecosystem's `grant-environment-variable-permission` are understood when
called and not listed, so that a model sees each tool once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mcp.types as t

from sandbox.policy.entries import Strict
from sandbox.policy.grants import GrantKind
from sandbox.server.builtin import arguments as a
from sandbox.wit.reserved import RESERVED, plain

_READS = t.ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_GIVES = t.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
_TAKES = t.ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
_FETCHES = t.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)


@dataclass(frozen=True, slots=True)
class Own:
    """One tool: what it takes, and how it is shown. `kind` is the section of a policy that it is about, where it is about one."""

    name: str
    title: str
    description: str
    takes: type[Strict]
    gives: dict[str, Any]
    hints: t.ToolAnnotations
    kind: GrantKind | None = None

    def shown(self) -> t.Tool:
        """The tool as MCP lists it."""
        return t.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=a.schema_of(self.takes),
            output_schema=self.gives,
            annotations=self.hints,
        )


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT = {"type": "string"}
_YES = {"type": "boolean"}
_NUMBER = {"type": "number"}
_GRANT = _object(
    {
        "id": _TEXT,
        "component_id": _TEXT,
        "kind": _TEXT,
        "effect": _TEXT,
        "entry": {"type": "object"},
        "lifetime": _TEXT,
        "uses": {"type": "integer"},
        "who": _TEXT,
    },
    reason=_TEXT,
    expires_at=_TEXT,
    max_uses={"type": "integer"},
)
_STOPPED = _list(_object({"tool": _TEXT, "ms": _NUMBER, "connections_only": _YES}))
_GRANTED = _object({"granted": _YES, "grant": _GRANT, "note": _TEXT})
_TAKEN = _object({"component_id": _TEXT, "revoked": _list(_TEXT), "kept": _list(_GRANT), "stopped": _STOPPED}, denied=_GRANT)
_RULE = _object({"origin": _TEXT, "line": _TEXT, "enforced_by": _TEXT})
_POLICY = _object(
    {
        "component_id": _TEXT,
        "digest": _TEXT,
        "rules": _list(_RULE),
        "grants": _list(_GRANT),
        "problems": _list(_TEXT),
        "warnings": _list(_TEXT),
    },
    file=_TEXT,
)
_COMPONENT = _object({"component_id": _TEXT, "digest": _TEXT, "tools": _list(_TEXT), "state": _TEXT})

_ASKS = "The person at this client is asked, and shown exactly this; without a yes nothing is granted."


def _grant(kind: GrantKind, what: str, takes: type[Strict]) -> Own:
    title = f"Ask for a {kind} permission"
    said = f"Ask a person to let a component {what}. {_ASKS} Holds for this session unless said otherwise, from the next call."
    return Own(f"grant_{kind}_permission", title, said, takes, _GRANTED, _GIVES, kind)


def _revoke(kind: GrantKind, what: str, takes: type[Strict]) -> Own:
    title = f"Take back a {kind} permission"
    said = f"Take from a component {what}, at once: grants of it end, and what its policy gives is denied for this session."
    said = "End the grants of other limits: the policy's own hold again, at once." if kind == "resource" else said
    return Own(f"revoke_{kind}_permission", title, f"{said} Calls that held it are stopped.", takes, _TAKEN, _TAKES, kind)


CATALOGUE: tuple[Own, ...] = (
    Own(
        "list_components",
        "List the components",
        "The components of this host, and the tools of each.",
        a.Nothing,
        _object({"components": _list(_COMPONENT)}),
        _READS,
    ),
    Own(
        "load_component",
        "Load a component",
        "Ask a person to load a WebAssembly component: a file or folder of the host, or an https URL with its SHA-256. It is "
        "loaded without any of the permissions that it asks for, and its tools are listed then.",
        a.Load,
        _object({"component_id": _TEXT, "digest": _TEXT, "tools": _list(_TEXT), "note": _TEXT}),
        _FETCHES,
    ),
    Own(
        "unload_component",
        "Unload a component",
        "Ask a person to unload a component: its tools are gone for every client, and its running calls are stopped.",
        a.OfComponent,
        _object({"component_id": _TEXT, "unloaded": _YES}),
        _TAKES,
    ),
    Own(
        "get_policy",
        "Show a component's policy",
        "The rules in force for a component in this session, each with the line of the policy or the grant that it comes from, "
        "and what enforces it.",
        a.OfComponent,
        _POLICY,
        _READS,
    ),
    Own(
        "list_grants",
        "List the grants",
        "The grants that hold in this session, of one component or of all.",
        a.Listing,
        _object({"grants": _list(_GRANT)}),
        _READS,
    ),
    _grant("storage", "read or change files of the host", a.GrantStorage),
    _grant("network", "reach a host over https or http, or by tcp", a.GrantNetwork),
    _grant("environment", "see an environment variable", a.GrantEnvironment),
    _grant("resource", "use more (or less) of a resource in each call", a.GrantResource),
    _revoke("storage", "a file or folder of the host", a.RevokeStorage),
    _revoke("network", "a host", a.RevokeNetwork),
    _revoke("environment", "an environment variable", a.RevokeEnvironment),
    _revoke("resource", "", a.RevokeResource),
    Own(
        "reset_permission",
        "Take back every grant",
        "End every grant of a component that gives it something: its accepted policy alone holds again. Denies stay.",
        a.OfComponent,
        _TAKEN,
        _TAKES,
    ),
)

_BY_NAME = {own.name: own for own in CATALOGUE}
_OTHERS = {
    "grant_environment_variable_permission": "grant_environment_permission",
    "revoke_environment_variable_permission": "revoke_environment_permission",
    "grant_memory_permission": "grant_resource_permission",
    "revoke_memory_permission": "revoke_resource_permission",
}
"""The existing ecosystem's names for what is called otherwise here."""


def find(name: str) -> Own | None:
    """The tool that a name means, in whatever spelling; None where it is none of the host's own."""
    spelled = plain(name)
    return _BY_NAME.get(_OTHERS.get(spelled, spelled))


assert _BY_NAME.keys() | _OTHERS.keys() <= RESERVED, "no component may have a tool of these names"
