"""What the admission document makes of a call before it and after it: the kinds of action that its template makes possible, and
the result as it may leave.

Decides nothing by itself: the lines about content are the document's (`sandbox.admission.sections.content`). Rules: everything of
an outcome that reaches a caller is looked through: the value or error, the message, what was printed, what denials quote. Where a
line blocks, nothing of it leaves or is recorded; where one redacts, both get the copy without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, Ruling
from sandbox.audit import EventType
from sandbox.host.outcome import Denial, Ending, Outcome
from sandbox.policy.effect import Effect
from sandbox.redaction import Redactor
from sandbox.template.template import Access, WasiTemplate

if TYPE_CHECKING:
    from sandbox.admission.sections.content import Inspected

DELETE_FILES, NETWORK_ACCESS = "delete_files", "network_access"
INJECTION = "prompt-injection"
_KEPT_BACK = "the call ran, and its result is kept back"


def kinds_of(template: WasiTemplate) -> tuple[str, ...]:
    """The kinds of action that a call under a template may do, whatever its tool is called."""
    deletes = any(rule.access & Access.DELETE for rule in template.files if rule.effect is not Effect.DENY)
    reaches = any(rule.effect is not Effect.DENY for rule in template.network)
    return (*((DELETE_FILES,) if deletes else ()), *((NETWORK_ACCESS,) if reaches else ()))


def inspect(authorizer: Authorizer, outcome: Outcome, redactor: Redactor) -> tuple[Outcome, Inspected | None]:
    """The outcome as it may leave, and what was found in it; None where nothing was."""
    told = [outcome.value, outcome.message, outcome.stdout, outcome.stderr, [dict(denial.target) for denial in outcome.denials]]
    try:
        found = authorizer.inspect(told, redactor)
    except ValueError as error:
        return Outcome(Ending.WITHHELD, message=f"{_KEPT_BACK}: it cannot be looked through: {error}", usage=outcome.usage), None
    if found is None or not found.hits:
        return outcome, None
    if found.effect is not Ruling.ALLOW:
        return _withheld(outcome, found), found
    return _copied(outcome, found.value), found


def events_of(found: Inspected) -> Iterator[tuple[EventType, Mapping[str, Any]]]:
    """What is recorded of a result in which something was found: never the text itself."""
    for hit in found.hits:
        told = {"content": hit.line.name, "finds": list(hit.finds), "score": hit.score, "action": hit.line.action.value}
        if hit.line.use == INJECTION:
            yield EventType.PROMPT_INJECTION, told
        elif found.effect is not Ruling.ALLOW:
            yield EventType.SECURITY_ALERT, told


def _withheld(outcome: Outcome, found: Inspected) -> Outcome:
    asked = found.effect is Ruling.REQUIRE_APPROVAL
    said = "the call ran, and its result needs an approval, which this version cannot ask for yet" if asked else _KEPT_BACK
    return Outcome(Ending.WITHHELD, message=f"{said}: it holds {found.reason}", usage=outcome.usage)


def _copied(outcome: Outcome, told: list[Any]) -> Outcome:
    value, message, stdout, stderr, targets = told
    denials = tuple(_quoting(denial, target) for denial, target in zip(outcome.denials, targets, strict=True))
    return replace(outcome, value=value, message=message, stdout=stdout, stderr=stderr, denials=denials)


def _quoting(denial: Denial, target: Mapping[str, Any]) -> Denial:
    return denial if target == denial.target else replace(denial, target=dict(target))
