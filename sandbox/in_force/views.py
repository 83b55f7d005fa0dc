"""What a person is shown of a component's policy: its text, the rules in force and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.audit import rfc3339
from sandbox.in_force.effective import Effective, LeftOut
from sandbox.policy.grants import Grant
from sandbox.template.compile import Note
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class PolicyView:
    """A component's policy as it holds now. For the operator: it names host paths.

    `rules` are the lines in force, each with its origin (`policy.yaml:7:9`, `grant <id>` or `default`) and what enforces it;
    `grants` are those that hold, `left_out` those that give nothing here; `problems` say why nothing is granted at all, `waiting`
    what waits for somebody's acceptance.
    """

    component: str
    digest: Digest
    file: str
    text: str
    rules: tuple[Note, ...]
    grants: tuple[Grant, ...]
    warnings: tuple[str, ...]
    waivers: tuple[str, ...]
    problems: tuple[str, ...]
    generation: str
    left_out: tuple[LeftOut, ...] = ()
    waiting: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The view as a JSON object."""
        return {
            "component": self.component,
            "digest": self.digest,
            "file": self.file,
            "text": self.text,
            "rules": [{"origin": note.origin, "line": note.line, "enforced_by": note.enforced_by} for note in self.rules],
            "grants": [grant_json(grant) for grant in self.grants],
            "warnings": list(self.warnings),
            "waivers": list(self.waivers),
            "left_out": [{"grant": grant_json(one.grant), "why": one.why, "help": one.help} for one in self.left_out],
            "problems": list(self.problems),
            "waiting": list(self.waiting),
            "generation": self.generation,
        }


def view_of(name: str, digest: Digest, effective: Effective) -> PolicyView:
    """What holds for a component now, to be shown."""
    accepted = effective.accepted
    return PolicyView(
        component=name,
        digest=digest,
        file=accepted.path or accepted.file,
        text=accepted.text,
        rules=effective.notes,
        grants=effective.grants,
        warnings=effective.warnings,
        waivers=tuple(f"{waiver.origin}: `{waiver.field}`" for waiver in accepted.document.waivers),
        problems=effective.problems,
        generation=effective.template.generation,
        left_out=effective.left_out,
    )


def grant_json(grant: Grant) -> dict[str, Any]:
    """A grant as a JSON object, as commands and records show it."""
    return {
        "id": grant.id,
        "component": grant.component_name,
        "digest": grant.digest,
        "kind": grant.kind,
        "effect": grant.effect.value,
        "entry": dict(grant.entry),
        "who": grant.who,
        "why": grant.why or None,
        "created_at": rfc3339(grant.created_at),
        "expires_at": None if grant.expires_at is None else rfc3339(grant.expires_at),
        "max_uses": grant.max_uses,
        "uses": grant.uses,
        "lifetime": grant.lifetime,
        "session": grant.session,
    }
