"""What the host's own tools answer with: grants, rules and components as a client may see them.

Rules: a variable's value that a grant gives is not told, since whoever lists grants need not be who gave it; of another session's
grants nothing is told; the file of a policy goes by its last name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sandbox.audit import rfc3339
from sandbox.in_force.views import PolicyView
from sandbox.policy.grants import Grant
from sandbox.receipt import StoppedCall
from sandbox.registry.inspection import ComponentView
from sandbox.server.builtin.questions import digest

WRITTEN = "(as written)"


def grant(one: Grant) -> dict[str, Any]:
    """A grant."""
    entry = dict(one.entry)
    if one.kind == "environment" and "value" in entry:
        entry["value"] = WRITTEN
    told: dict[str, Any] = {
        "id": one.id,
        "component_id": one.component_name,
        "kind": one.kind,
        "effect": one.effect.value,
        "entry": entry,
        "lifetime": one.lifetime,
        "uses": one.uses,
        "who": one.who,
    }
    told |= {"reason": one.why} if one.why else {}
    told |= {"max_uses": one.max_uses} if one.max_uses is not None else {}
    return told | ({"expires_at": rfc3339(one.expires_at)} if one.expires_at is not None else {})


def seen_by(session: str, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """The grants that a session's calls may have, or that are for everybody."""
    return tuple(one for one in grants if one.session in (None, session))


def stopped(calls: Iterable[StoppedCall]) -> list[dict[str, Any]]:
    """The calls that a change stopped, or whose connections it reset."""
    return [{"tool": call.tool, "ms": round(call.ms, 1), "connections_only": call.connections_only} for call in calls]


def policy(view: PolicyView) -> dict[str, Any]:
    """The rules in force, each with where it comes from."""
    return {
        "component_id": view.component,
        "digest": digest(view.digest),
        "file": Path(view.file).name,
        "rules": [{"origin": note.origin, "line": note.line, "enforced_by": note.enforced_by} for note in view.rules],
        "grants": [grant(one) for one in view.grants],
        "problems": list(view.problems),
        "warnings": [*view.warnings, *(one.told for one in view.left_out)],
    }


def component(view: ComponentView) -> dict[str, Any]:
    """A component and its tools."""
    return {"component_id": view.name, "digest": digest(view.digest), "tools": list(view.tools), "state": view.state}
