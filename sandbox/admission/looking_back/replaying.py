"""A recorded day against a candidate document: which decisions would have been others.

Pure: records in, changes out; budgets and rates are counted anew, in the order and at the times of the record, and settled by
what the calls used then.

Rules: a record says only what it holds. Where arguments were not recorded, cut or redacted, an answer that looks at them is not
certain, and says so. A call that was refused then has used nothing, whatever the candidate says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.admission.approval import RULE as APPROVED_BY
from sandbox.admission.conditions.when import fields_of
from sandbox.admission.decision import Decision, Ruling
from sandbox.admission.document.models import AdmissionDocument
from sandbox.admission.looking_back.asked import request_of
from sandbox.admission.sections.ruleset import Ruleset
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.refusing import Refusal
from sandbox.admission.spending.reserving import Budgets, Reservation
from sandbox.admission.spending.terms import terms_of
from sandbox.admission.words import Where
from sandbox.config.spending import BudgetSection, Metric

_RAN = "tool_invoke"
_DECIDED = frozenset({_RAN, "access_denied", "rate_limit_exceeded", "budget_exceeded"})
_ENDED = frozenset({"tool_success", "tool_failure"})
_OWN = frozenset({"stopped", "tool-is-loaded", "arguments-are-json"})
"""Refusals that no document gives, so none takes them back."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One decision that would have been another. It is `certain` where the record holds all that was looked at."""

    time: str
    audit_id: str
    subject: str
    tool: str
    before: Ruling
    after: Decision
    certain: bool

    def to_json(self) -> dict[str, Any]:
        """The change as a JSON object."""
        told = {"time": self.time, "audit_id": self.audit_id, "subject": self.subject, "tool": self.tool}
        after = {"after": self.after.effect.value, "rules": list(self.after.rules), "reason": self.after.reason}
        return {**told, "before": self.before.value, **after, "certain": self.certain}


@dataclass(slots=True)
class Replay:
    """How many decisions were on record, and those that change."""

    decisions: int = 0
    changed: list[Changed] = field(default_factory=list)


def replay(
    records: Iterable[Mapping[str, Any]],
    document: AdmissionDocument,
    *,
    maxima: BudgetSection | None = None,
    handles: Iterable[str] = (),
) -> Replay:
    """Ask a document about everything that was decided; `maxima` are the operator's budgets, which hold beside its own."""
    ruleset = Ruleset(document, handles=frozenset(handles))
    budgets = Budgets(MemoryCounts(), terms_of(maxima, ruleset, {}))
    looks, open_ = _looks_at_arguments(document), dict[str, Reservation]()
    found = Replay()
    for record in records:
        now = datetime.fromisoformat(str(record["time"])).timestamp()
        if record["event"] in _ENDED and (reservation := open_.pop(str(record["audit_id"]), None)) is not None:
            budgets.settle(reservation, _used(record), now)
        before = _decided(record)
        if before is None:
            continue
        found.decisions += 1
        request = request_of(record)
        after = ruleset.decide(request, budgets.usage(request, now))
        if after.allowed:
            taken = budgets.reserve(request, now)
            if isinstance(taken, Refusal):
                after = taken.decision
            elif record["event"] == _RAN:
                open_[request.request_id] = taken
            else:
                budgets.settle(taken, {}, now)
        if after.effect is not before:
            certain = not looks or (record.get("arguments") is not None and not record.get("redactions"))
            told = (str(record["time"]), request.request_id, request.subject_id, request.tool)
            found.changed.append(Changed(*told, before, after, certain))
    return found


def _decided(record: Mapping[str, Any]) -> Ruling | None:
    """What was decided, of a record that is of a document's decision about a call."""
    if record["event"] not in _DECIDED or not record.get("decision") or _OWN & set(record.get("rules") or ()):
        return None
    if any(str(rule).startswith(APPROVED_BY) for rule in record.get("rules") or ()):
        # It ran because a person said yes: what the document said is that it asks.
        return Ruling.REQUIRE_APPROVAL
    return Ruling(str(record["decision"]))


def _used(record: Mapping[str, Any]) -> dict[Metric, int]:
    used = record.get("usage") or {}
    told = {Metric.CPU: "cpu_ms", Metric.SECONDS: "wall_ms", Metric.EGRESS: "bytes_sent"}
    return {metric: round(float(used.get(name) or 0)) for metric, name in told.items()}


def _looks_at_arguments(document: AdmissionDocument) -> bool:
    if any(Where.ARGUMENTS in line.where for line in document.content):
        return True
    return any(name.startswith("arguments.") for name in _fields(document))


def _fields(document: AdmissionDocument) -> Iterator[str]:
    for rule in document.rules:
        yield from () if rule.when is None else fields_of(rule.when)
    for role in document.roles.values():
        for permission in role.permissions:
            yield from () if permission.conditions is None else fields_of(permission.conditions)
