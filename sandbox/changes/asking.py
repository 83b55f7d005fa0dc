"""A person is asked at the moment of use, about what an ask rule keeps back; and a yes becomes a grant.

Decides whether a person is asked at all, what is shown, and what a yes is worth. How a question reaches a person is the edge's
(`Person`): a client's dialogue, a terminal. The call waits in its gate meanwhile (`sandbox.host.asking`).

`put`, in order:
1. the call's own template has somebody asked about exactly this: what a worker says is not believed
2. the question may be put: nobody has said no to it lately, not too many wait, the call has not waited for too long
3. what a yes would grant can hold here; the question is recorded, and shown with the path as the host maps it
4. the answer: no answer is a no
5. a yes: the same grant as was shown, or none; the running call has it from now on

Rules: one turn at a component stays free of questions, where it has more than one; a yes is of exactly what was asked, reading
and writing apart; for once it is of the running call alone and over with it; for longer, as long as the person may say so. What
is too long to be read is not asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol

from cachetools import TTLCache

from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.granting import About, Granting
from sandbox.changes.proposals import propose
from sandbox.components import Running
from sandbox.errors import GrantError
from sandbox.host.asking import ANSWER_SECONDS
from sandbox.host.outcome import Denial
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant, Lifetime
from sandbox.policy.refusal import visible
from sandbox.template.files import FileRules
from sandbox.template.place import access_of
from sandbox.template.smallest import SmallestGrant, grant_for
from sandbox.template.template import Access, WasiTemplate
from sandbox.wit.types import Digest

MAX_OPEN, MAX_OF_SUBJECT = 8, 2
"""Questions that may be open at a time, here and of one subject: each keeps a worker waiting, and its turn at its component."""

MAX_GIVEN = 100
"""Answers that one session may have given: each costs every change a look."""

DECLINED_SECONDS = 600.0
"""How long who said no is not asked the same again."""

LONGEST = 1_000
"""Characters of a path that a person reads."""

OVER = "its call is over"


class Answer(StrEnum):
    """What a person says."""

    ONCE = "once"
    SESSION = "this session"
    UNTIL_REVOKED = "until revoked"
    NO = "no"
    NOTHING = ""
    """Not said: a no, which nobody gave."""


_LIFETIMES: dict[Answer, Lifetime] = {Answer.ONCE: "once", Answer.SESSION: "session", Answer.UNTIL_REVOKED: "lasting"}


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked: which component wants to do what with which path, the guest's and the host's name of it.

    `origin` is the line that has it asked; `choices` are the answers that count, any other is a no.
    """

    component: str
    digest: Digest
    tool: str
    path: str
    host_path: str
    access: tuple[str, ...]
    origin: str
    choices: tuple[Answer, ...]

    @property
    def text(self) -> str:
        """The question in words, for a client: nothing of the host's that the policy does not show the guest."""
        return "\n".join(
            (
                f"The component `{visible(self.component)}` wants to {' and '.join(self.access)}:",
                f"  {visible(self.path)}",
                f"It runs as the tool `{visible(self.tool)}`; its policy has you asked ({visible(self.origin)}).",
                f"Component: sha256:{self.digest}",
            )
        )


class Asked(Protocol):
    """What a person at a client is asked: a text, and the answers that count."""

    @property
    def text(self) -> str:
        """The question in words."""

    @property
    def choices(self) -> tuple[Answer, ...]:
        """The answers that count; any other is a no."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be asked: how, who that is in the record, and for how long at most a yes of theirs is good."""

    ask: Callable[[Asked], Awaitable[Answer]]
    who: str = "local"
    most: Lifetime = "session"

    def choices(self, session: str | None) -> tuple[Answer, ...]:
        """What this person may answer."""
        longer = [Answer.SESSION] if session is not None and self.most != "once" else []
        longer += [Answer.UNTIL_REVOKED] if self.most == "lasting" else []
        return (Answer.ONCE, *longer, Answer.NO)


Ask = Callable[[Running, str, Denial], Awaitable[str | None]]
"""Puts what a running call wants to a person, given its request id too: None for a yes, else why not."""


@dataclass(slots=True)
class Inquiries:
    """The questions of one host that are open, and who has said no."""

    granting: Granting
    open: list[tuple[Running, str]] = field(default_factory=list)
    """Each with the subject whose call it is of."""
    declined: TTLCache[tuple[Any, ...], Literal[True]] = field(default_factory=lambda: TTLCache(1024, DECLINED_SECONDS))

    @asynccontextmanager
    async def of_call(self, person: Person, subject: str) -> AsyncIterator[Ask]:
        """What puts the questions of one call to a person; what was given for that call alone is over with it."""
        inquiry = Inquiry(self, person, subject)
        try:
            yield inquiry.put
        finally:
            for grant in inquiry.made:
                await self.granting.over(grant, OVER)


@dataclass(slots=True)
class Inquiry:
    """What one call asks, and the grants that are over with it."""

    all: Inquiries
    person: Person
    subject: str
    made: list[Grant] = field(default_factory=list)
    seconds: float = field(default_factory=lambda: ANSWER_SECONDS)
    """For how long it may still wait for answers, all its questions together."""

    async def put(self, call: Running, request_id: str, wanted: Denial) -> str | None:
        """Have the person asked; None for a yes, else why not. Raises HostUnavailable where it cannot be recorded."""
        now = self.all.granting.changes.components.running.get(call.call_id, call)
        try:
            question, smallest = _read(now, wanted, self.person)
            before = self._change(now, smallest, Answer.ONCE)
            self._refuse(now, question)
            record = _Record(self.all.granting, now, request_id, self.person.who)
            record.asked(question)
            answer, word = await self._answer(now, record, question)
            record.answered(answer, word)
            if answer is Answer.NO:
                return word
            if self._change(now, smallest, answer) != before:
                return "what it would change has changed since the question was asked"
            if (why_not := await self._grant(now, smallest, answer)) is not None:
                return why_not
        except GrantError as error:
            return error.message
        record.granted(wanted, answer)
        return None

    def _refuse(self, call: Running, question: Question) -> None:
        """Raise GrantError where the person is not asked."""
        inquiries, session = self.all, call.session
        if session is not None and _same(call, question) in inquiries.declined:
            raise GrantError("a person said no to exactly this in this session; it is not asked again")
        if self.seconds <= 0:
            raise GrantError("its call has waited for answers for as long as it may")
        waiting, template = inquiries.open, call.template
        of_subject = sum(subject == self.subject for _, subject in waiting)
        of_component = sum(one.template.component == template.component for one, _ in waiting)
        free = max(1, template.limits.concurrency - 1) - of_component
        if len(waiting) >= MAX_OPEN or of_subject >= MAX_OF_SUBJECT or free <= 0:
            raise GrantError("too many questions wait for an answer already")
        given = sum(grant.session == session for grant in inquiries.granting.held()) if session is not None else 0
        if given >= MAX_GIVEN:
            raise GrantError(f"{given} permissions were given in this session already")

    async def _answer(self, call: Running, record: _Record, question: Question) -> tuple[Answer, str]:
        """The answer, and what is told of a no."""
        inquiries, waiting, began = self.all, (call, self.subject), time.monotonic()
        inquiries.open.append(waiting)
        try:
            async with asyncio.timeout(self.seconds):
                said = await self.person.ask(question)
        except TimeoutError:
            return Answer.NO, "a person was asked and did not answer in time"
        except asyncio.CancelledError:
            record.answered(Answer.NO, "the call ended before the answer")
            raise
        finally:
            inquiries.open.remove(waiting)
            self.seconds -= time.monotonic() - began
        if said in (Answer.NO, Answer.NOTHING) and call.session is not None:
            inquiries.declined[_same(call, question)] = True
        if said is Answer.NO or said not in question.choices:
            return Answer.NO, "a person was asked and did not allow it"
        return said, said.value

    def _about(self, call: Running, answer: Answer) -> About:
        session = None if answer is Answer.UNTIL_REVOKED else call.session
        lifetime = _LIFETIMES[answer]
        return About(self.person.who, f"asked by {call.tool}", lifetime=lifetime, session=session)

    def _change(self, call: Running, smallest: SmallestGrant, answer: Answer) -> tuple[Any, ...]:
        """What a yes would change, as it would hold now; raises GrantError where it could not."""
        about = self._about(call, answer)
        found = propose(self.all.granting, call.component, smallest.kind, smallest.entry, Effect.ALLOW, about)
        return found.digest, found.change

    async def _grant(self, call: Running, smallest: SmallestGrant, answer: Answer) -> str | None:
        about, granting = self._about(call, answer), self.all.granting
        about = replace(about, spent=answer is Answer.ONCE)
        grant = await granting.grant(call.component, smallest.kind, smallest.entry, Effect.ALLOW, about)
        if answer is Answer.ONCE:
            self.made.append(grant)
        if not granting.changes.answered(call.call_id, grant):
            return "it was taken back at once"
        return None


@dataclass(frozen=True, slots=True)
class _Record:
    """A question and its answer, among the records of the call."""

    granting: Granting
    call: Running
    request_id: str
    who: str

    def asked(self, question: Question) -> None:
        told = {"question": question.text, "host_path": question.host_path}
        self._write(EventType.PERMISSION_REQUESTED, detail=told)

    def answered(self, answer: Answer, word: str) -> None:
        decision = "deny" if answer is Answer.NO else "allow"
        self._write(EventType.PERMISSION_ANSWERED, decision=decision, reason=word)

    def granted(self, wanted: Denial, answer: Answer) -> None:
        """What of the running call was let through, once it holds."""
        self._write(EventType.ACCESS_GRANTED, decision="allow", reason=answer.value, detail=wanted.target)

    def _write(self, kind: EventType, **told: Any) -> None:
        call = self.call
        about: dict[str, Any] = {"session": call.session, "component": call.component, "tool": call.tool}
        self.granting.log.append(Event(kind, self.request_id, subject=self.who, **about, **told), Redactor(), sync=True)


def _read(call: Running, wanted: Denial, person: Person) -> tuple[Question, SmallestGrant]:
    """The question that a worker's word comes to, by the call's own template. Raises GrantError where there is none."""
    host, access = str(wanted.private.get("host_path", "")), _access(wanted)
    rules, template = FileRules(call.template.files), call.template
    guest = guest_path(template, host)
    if not access or access & ~rules.asked(host) or guest is None:
        raise GrantError("no rule has a person asked about it")
    if len(guest) > LONGEST:
        raise GrantError("the path is too long to be shown to a person")
    smallest = grant_for(replace(wanted, target={**wanted.target, "path": guest}, origin=None), template)
    if smallest is None:
        raise GrantError("no policy can allow it")
    origin, choices = rules.asking(host, access) or "", person.choices(call.session)
    digest = template.component
    return Question(call.component, digest, call.tool, guest, host, access.words, origin, choices), smallest


def _access(wanted: Denial) -> Access:
    words = wanted.private.get("access")
    try:
        return access_of(tuple(words)) if isinstance(words, list) else Access.NONE
    except (KeyError, TypeError):
        return Access.NONE


def guest_path(template: WasiTemplate, host: str) -> str | None:
    """The guest's name of a host path, by the folders that it has; None where it has none of them."""
    inside = [preopen for preopen in template.preopens if host == preopen.host_path or host.startswith(f"{preopen.host_path}/")]
    if not inside:
        return None
    nearest = max(inside, key=lambda preopen: len(preopen.host_path))
    return nearest.guest_path.rstrip("/") + host[len(nearest.host_path) :]


def _same(call: Running, question: Question) -> tuple[Any, ...]:
    return call.session, call.component, question.host_path, question.access
