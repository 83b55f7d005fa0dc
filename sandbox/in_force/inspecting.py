"""What the admission document makes of a call before it and after it: the kinds of action that its template makes possible, and
the result as it may leave.

Decides nothing by itself: the lines about content are the document's (`sandbox.admission.sections.content`). Rules: everything of
an outcome that reaches a caller is looked through: the value or error, the message, what was printed, what denials quote. Where a
line blocks, nothing of it leaves, and the record and the counts go by how the call really ended and by what it was refused, but
for what may not be shown; where one redacts, all get the copy without, unless its value is no longer of the type that the tool
gives: no client could read that, so it is kept back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.admission import Authorizer, Ruling
from sandbox.admission.words import Treatment
from sandbox.audit import EventType
from sandbox.host.outcome import Denial, Ending, Outcome
from sandbox.policy.effect import Effect
from sandbox.redaction import Redactor
from sandbox.template.template import Access, WasiTemplate
from sandbox.wit.fitting import fits
from sandbox.wit.types import WitType

if TYPE_CHECKING:
    from sandbox.admission.sections.content import Inspected

DELETE_FILES, NETWORK_ACCESS = "delete_files", "network_access"
INJECTION = "prompt-injection"
INLINE = 1_024
"""Characters and items of a result that are looked through at once: at worst five milliseconds of card numbers."""
_ASKED_TOO_LATE = "the call ran, and its result needs an approval, which comes before a call alone: it is kept back"
_KEPT_BACK = "the call ran, and its result is kept back"


def kinds_of(template: WasiTemplate) -> tuple[str, ...]:
    """The kinds of action that a call under a template may do, whatever its tool is called."""
    deletes = any(rule.access & Access.DELETE for rule in template.files if rule.effect is not Effect.DENY)
    reaches = any(rule.effect is not Effect.DENY for rule in template.network)
    return (*((DELETE_FILES,) if deletes else ()), *((NETWORK_ACCESS,) if reaches else ()))


@dataclass(frozen=True, slots=True)
class LookedThrough:
    """An outcome that was looked through: as it may leave, as it is recorded and settled, and what was found in it."""

    told: Outcome
    ran: Outcome
    found: Inspected | None = None


def inspect(authorizer: Authorizer, outcome: Outcome, redactor: Redactor, gives: WitType | None = None) -> LookedThrough:
    """Look through an outcome of a tool that `gives` that type; `found` is None where nothing was."""
    told = [outcome.value, outcome.message, outcome.stdout, outcome.stderr, [_quoted(denial) for denial in outcome.denials]]
    try:
        found = authorizer.inspect(told, redactor)
    except ValueError as error:
        said = f"{_KEPT_BACK}: it cannot be looked through: {error}"
        return _withheld(authorizer, outcome, redactor, said)
    if found is None or not found.hits:
        return LookedThrough(outcome, outcome)
    if found.effect is not Ruling.ALLOW:
        return replace(_withheld(authorizer, outcome, redactor, _said(found)), found=found)
    copied = _copied(outcome, found.value)
    if outcome.ok and gives is not None and copied.value != outcome.value and not fits(gives, copied.value):
        return replace(_withheld(authorizer, outcome, redactor, _said_of_type(found)), found=found)
    return LookedThrough(copied, copied, found)


async def looked_through(
    authorizer: Authorizer, outcome: Outcome, redactor: Redactor, gives: WitType | None = None
) -> LookedThrough:
    """As `inspect`; what is large is looked through beside the loop, which has other calls to carry."""
    if _small(outcome):
        return inspect(authorizer, outcome, redactor, gives)
    return await asyncio.to_thread(inspect, authorizer, outcome, redactor, gives)


def unseen(outcome: Outcome) -> Outcome:
    """What is recorded of an outcome that nobody has looked through: how it ended, and the codes of what it was refused."""
    return _recorded(outcome, "", map(_blank, outcome.denials))


def events_of(found: Inspected) -> Iterator[tuple[EventType, Mapping[str, Any]]]:
    """What is recorded of a result in which something was found: never the text itself."""
    for hit in found.hits:
        told = {"content": hit.line.name, "finds": list(hit.finds), "score": hit.score, "action": hit.line.action.value}
        if hit.line.use == INJECTION:
            yield EventType.PROMPT_INJECTION, told
        elif found.effect is not Ruling.ALLOW:
            yield EventType.SECURITY_ALERT, told


def _small(outcome: Outcome) -> bool:
    """Whether an outcome has at most INLINE characters and items: one look at each of them, and at no more."""
    room = INLINE - len(outcome.message) - len(outcome.stdout) - len(outcome.stderr)
    waiting: list[Any] = [outcome.value, *(denial.target for denial in outcome.denials)]
    while waiting and room > 0:
        value = waiting.pop()
        if isinstance(value, Mapping):
            value = [*value, *value.values()]
        room -= len(value) if isinstance(value, str | list | tuple) else 1
        if isinstance(value, list | tuple) and room > 0:
            waiting.extend(value)
    return room > 0


def _said(found: Inspected) -> str:
    asked = found.effect is Ruling.REQUIRE_APPROVAL
    said = _ASKED_TOO_LATE if asked else _KEPT_BACK
    return f"{said}: it holds {found.reason}"


def _said_of_type(found: Inspected) -> str:
    taken = "; ".join(str(hit) for hit in found.hits if hit.line.action is Treatment.REDACT)
    return f"{_KEPT_BACK}: with {taken} taken out it is no longer of the type that the tool declares"


def _withheld(authorizer: Authorizer, outcome: Outcome, redactor: Redactor, said: str) -> LookedThrough:
    def shows(value: Any) -> bool:
        try:
            found = authorizer.inspect(value, redactor)
        except ValueError:
            return False
        return found is None or not found.hits

    denials = (denial if shows(_quoted(denial)) else _blank(denial) for denial in outcome.denials)
    ran = _recorded(outcome, outcome.message if shows(outcome.message) else "", denials)
    return LookedThrough(Outcome(Ending.WITHHELD, message=said, usage=outcome.usage), ran)


def _recorded(outcome: Outcome, message: str, denials: Iterable[Denial]) -> Outcome:
    return replace(outcome, value=None, message=message, denials=tuple(denials), stdout="", stderr="")


def _blank(denial: Denial) -> Denial:
    return Denial(denial.code, {}, _KEPT_BACK, denial.origin)


def _quoted(denial: Denial) -> list[Any]:
    return [dict(denial.target), denial.reason]


def _copied(outcome: Outcome, told: list[Any]) -> Outcome:
    value, message, stdout, stderr, quoted = told
    denials = tuple(_quoting(denial, *said) for denial, said in zip(outcome.denials, quoted, strict=True))
    return replace(outcome, value=value, message=message, stdout=stdout, stderr=stderr, denials=denials)


def _quoting(denial: Denial, target: Mapping[str, Any], reason: str) -> Denial:
    return denial if [target, reason] == _quoted(denial) else replace(denial, target=dict(target), reason=reason)
