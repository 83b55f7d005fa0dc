"""What each of the host's own tools does: the answer, or the question that a person must say yes to first.

Decides what may be done without a question: reading, and taking permissions away. Giving is asked for, and given for the session
at most, as far as the operator's configuration does not say otherwise (`most`); so is what concerns every client: to load and to
unload.

Rules: what takes away never gives: a grant whose end would give something (a deny, a lower limit) stays, and says so. What is no
grant but the accepted policy's own is denied for the session. Nobody sees or ends what is bound to another's session.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.api import Sandbox
from sandbox.changes.granting import About
from sandbox.changes.proposals import Proposal
from sandbox.errors import Code, GrantError, NotFound
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant, GrantKind, Lifetime, make_entry
from sandbox.server.builtin import arguments as a
from sandbox.server.builtin import shown
from sandbox.server.builtin.asking import Question, RefusedError
from sandbox.server.builtin.catalogue import Own
from sandbox.server.builtin.loading import ask_to_load, ask_to_unload
from sandbox.server.builtin.questions import REASON_CHARACTERS, about_grant, terminal_command
from sandbox.server.clients import Caller
from sandbox.wit.docs import clean

UNBOUND_SECONDS = 3600.0
"""How long a grant for a session holds at most whose end nobody sees: over HTTP, the era without sessions has no connection."""

MAX_OF_CLIENTS = 100
"""Grants and denies that one session may have, and that clients may have made for good: each costs every change a look."""

GRANTED = "it holds from the next call; call the tool again"
_NAMED: dict[GrantKind, str] = {"storage": "uri", "network": "host", "environment": "key", "resource": "limit"}

Done = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """The work for one host. `most` is the longest lifetime that a client may be given."""

    sandbox: Sandbox
    most: Lifetime = "session"

    async def do(self, own: Own, asked: Any, caller: Caller, *, leaves: bool) -> Done | Question:
        """Do what is asked, or say what must be asked first; whether the session ends when the client `leaves`.

        Raises SandboxError.
        """
        if own.kind is not None and isinstance(asked, a.Granted):
            return self._grant(own.kind, asked, caller, leaves=leaves)
        if own.kind is not None:
            return await self._revoke(own.kind, asked, caller)
        match own.name:
            case "load_component":
                return await ask_to_load(self.sandbox, asked, _who(caller))
            case "unload_component":
                return ask_to_unload(self.sandbox, asked.component_id)
            case "list_components":
                return {"components": [shown.component(view) for view in self.sandbox.components()]}
            case "get_policy":
                return shown.policy(self.sandbox.get_policy(asked.component_id, session=caller.session))
            case "list_grants":
                return {"grants": [shown.grant(one) for one in self._seen(asked.component_id, caller)]}
            case "reset_permission":
                return await self._take_back(asked.component_id, self._seen(asked.component_id, caller))
        raise RuntimeError(f"`{own.name}` is listed and does nothing")

    def _grant(self, kind: GrantKind, asked: a.Granted, caller: Caller, *, leaves: bool) -> Question:
        lifetime = asked.lifetime or "session"
        session = None if lifetime == "lasting" else caller.session
        self._refuse_too_many(caller)
        reason = None if asked.reason is None else clean(asked.reason, REASON_CHARACTERS).text
        longest = None if session is None or leaves else UNBOUND_SECONDS
        seconds = asked.seconds if longest is None else min(asked.seconds or longest, longest)
        about = About(_who(caller), reason, seconds, asked.max_uses, lifetime, session)
        entry = make_entry(kind, asked.entry())
        proposal = self.sandbox.propose(asked.component_id, kind, entry, about=about)
        command = terminal_command(proposal)
        if lifetime == "lasting" and self.most != "lasting":
            raise RefusedError("a lasting permission is given in a terminal, not through a client", command)
        same = json.dumps([asked.component_id, kind, entry], sort_keys=True)
        ends = "it ends when the client leaves" if leaves else f"all calls of {caller.subject}, until this server ends"
        return Question(about_grant(proposal, ends), lambda: self._granted(proposal), command, same)

    async def _revoke(self, kind: GrantKind, asked: Any, caller: Caller) -> Done:
        name, wanted = asked.component_id, getattr(asked, _NAMED[kind])
        mine = [one for one in self._seen(name, caller) if one.kind == kind and _is_about(one, wanted)]
        done = await self._take_back(name, mine)
        denied = None
        if kind != "resource" and (deny := self._deny(kind, asked, caller)) is not None:
            denied = await self.sandbox.grant_proposed(deny)
        if not mine and denied is None:
            raise NotFound(f"`{name}` has no such permission", help="get_policy shows what it has", code=Code.GRANT_NOT_FOUND)
        return done | ({} if denied is None else {"denied": shown.grant(denied)})

    async def _granted(self, proposal: Proposal) -> Done:
        made = await self.sandbox.grant_proposed(proposal)
        return {"granted": True, "grant": shown.grant(made), "note": GRANTED}

    def _seen(self, component: str | None, caller: Caller) -> tuple[Grant, ...]:
        """The grants of a component, or of all, that concern this session. Raises NotFound for a component nobody knows."""
        if component is not None:
            self.sandbox.get_policy(component)
        return shown.seen_by(caller.session, self.sandbox.grants(component))

    async def _take_back(self, name: str, grants: Iterable[Grant]) -> Done:
        taken = await self.sandbox.take_back(grants)
        return {
            "component_id": name,
            "revoked": [one.id for one, _ in taken.ended],
            "kept": [shown.grant(one) for one in taken.kept],
            "stopped": [call for _, receipt in taken.ended for call in shown.stopped(receipt.every_stop)],
        }

    def _deny(self, kind: GrantKind, asked: Any, caller: Caller) -> Proposal | None:
        """The deny of what is still given, or None where nothing is."""
        lifetime: Lifetime = asked.lifetime or "session"
        about = About(_who(caller), "revoked", lifetime=lifetime, session=None if lifetime == "lasting" else caller.session)
        entry = make_entry(kind, {_NAMED[kind]: getattr(asked, _NAMED[kind])}, "deny")
        proposal = self.sandbox.propose(asked.component_id, kind, entry, about=about, effect="deny")
        if not proposal.takes_away:
            return None
        self._refuse_too_many(caller)
        return proposal

    def _refuse_too_many(self, caller: Caller) -> None:
        every = self.sandbox.grants()
        mine = sum(one.session == caller.session or (one.session is None and one.who == _who(caller)) for one in every)
        if mine >= MAX_OF_CLIENTS:
            raise GrantError(f"{mine} permissions were changed through this client", help="take some back, or reset_permission")


def _who(caller: Caller) -> str:
    return f"mcp:{caller.subject}"


def _is_about(grant: Grant, wanted: str | None) -> bool:
    """Whether a grant gives what is named; of limits, any where none is named."""
    if grant.effect is Effect.DENY:
        return False
    if grant.kind == "resource":
        return wanted is None or wanted in grant.entry
    return bool(grant.entry.get(_NAMED[grant.kind]) == wanted)
