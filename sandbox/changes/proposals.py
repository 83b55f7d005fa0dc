"""A grant before it is made: what it would change, for the person who decides about it.

Decides nothing. A proposal is a grant that could hold, with the lines that would come and go and what of today it is wider than;
whoever asks a person shows exactly this, and `grant` makes exactly this or nothing.

Rules: what cannot hold is never proposed; between the question and the answer another component, another document or another
grant may have come: then the answer was about something else, and nothing is granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.changes.granting import About, Granting
from sandbox.errors import GrantError
from sandbox.in_force.effective import Effective
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant, GrantKind
from sandbox.policy.models import PolicyDocument
from sandbox.receipt import Receipt
from sandbox.template.difference import file_rule_covers, network_rule_covers, taken_away
from sandbox.template.notes import notes_of
from sandbox.template.template import FileRule, NetworkRule, WasiTemplate
from sandbox.wit.types import Digest

_NOTHING_WRITTEN = PolicyDocument(version="2.0")


@dataclass(frozen=True, slots=True)
class Wider:
    """A rule of today that a new one covers and goes beyond: the line, and where it comes from."""

    line: str
    origin: str


@dataclass(frozen=True, slots=True)
class Change:
    """The lines that a grant would add and take away, and the rules that it would widen."""

    gives: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    wider_than: tuple[Wider, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON object."""
        wider = [{"line": one.line, "origin": one.origin} for one in self.wider_than]
        return {"gives": list(self.gives), "takes": list(self.takes), "wider_than": wider}


@dataclass(frozen=True, slots=True)
class Proposal:
    """One entry that could be granted now, to which component, by whom and for how long, and what it would change.

    `takes_away` says whether something is lost by it: of a deny, whether anything is given that it denies.
    """

    component: str
    digest: Digest
    kind: GrantKind
    entry: Mapping[str, Any]
    effect: Effect
    about: About
    change: Change
    takes_away: bool = False


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The grants that were ended, each with its receipt, and those that were not, since their end would give something."""

    ended: tuple[tuple[Grant, Receipt], ...] = ()
    kept: tuple[Grant, ...] = ()


def propose(
    granting: Granting, component: str, kind: GrantKind, entry: Mapping[str, Any], effect: Effect, about: About
) -> Proposal:
    """What granting this entry would change; raises as `Granting.grant` does, and grants nothing."""
    digest, _ = granting.known(component)
    before, after = granting.preview(component, kind, entry, effect, about)
    lost = bool(taken_away(before.template, after.template))
    return Proposal(component, digest, kind, dict(entry), effect, about, change_between(before, after), lost)


async def grant(granting: Granting, proposal: Proposal) -> Grant:
    """Make the grant that was proposed. Raises GrantError where it would change something else by now."""
    of = (proposal.component, proposal.kind, proposal.entry, proposal.effect, proposal.about)
    if propose(granting, *of) != proposal:
        raise GrantError(
            f"what `{proposal.component}` may do has changed since the question was asked",
            help="ask again: the answer was to another",
        )
    return await granting.grant(*of)


async def take_back(granting: Granting, grants: Iterable[Grant]) -> TakenBack:
    """End those of the grants whose end gives nothing, and leave the others.

    A deny, a limit that is lower than the document's, a variable's value stand in the way of something: who may only take away
    may not end them.
    """
    ended, kept = [], []
    for one in grants:
        before, after = granting.without(one)
        if taken_away(after.template, before.template):
            kept.append(one)
        else:
            ended.append((one, await granting.revoke(one.id)))
    return TakenBack(tuple(ended), tuple(kept))


def change_between(before: Effective, after: Effective) -> Change:
    """How the lines in force differ, whatever line of a document or grant they come from."""
    old, new = ([note.line for note in one.notes] for one in (before, after))
    gives = tuple(dict.fromkeys(line for line in new if line not in old))
    takes = tuple(dict.fromkeys(line for line in old if line not in new))
    return Change(gives, takes, _widened(before.template, after.template))


def _widened(before: WasiTemplate, after: WasiTemplate) -> tuple[Wider, ...]:
    held, come = _allows(before), [rule for rule in _allows(after) if rule not in _allows(before)]
    return tuple(dict.fromkeys(Wider(_line(old), old.origin) for old in held if any(_beyond(new, old) for new in come)))


def _allows(template: WasiTemplate) -> list[FileRule | NetworkRule]:
    rules: tuple[FileRule | NetworkRule, ...] = (*template.files, *template.network)
    return [rule for rule in rules if rule.effect is Effect.ALLOW]


def _beyond(new: FileRule | NetworkRule, old: FileRule | NetworkRule) -> bool:
    if isinstance(new, FileRule) and isinstance(old, FileRule):
        return file_rule_covers(new, old) and not file_rule_covers(old, new)
    if isinstance(new, NetworkRule) and isinstance(old, NetworkRule):
        return network_rule_covers(new, old) and not network_rule_covers(old, new)
    return False


def _line(rule: FileRule | NetworkRule) -> str:
    alone = WasiTemplate(files=(rule,)) if isinstance(rule, FileRule) else WasiTemplate(network=(rule,))
    return notes_of(alone, _NOTHING_WRITTEN)[0].line
