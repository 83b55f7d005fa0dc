"""The part of `Sandbox` that changes what components may do: grants, denies, revokes, and what comes before and after them.

Decides how a grant is spelled in Python, and nothing else: that it may be made, and what it means, is `sandbox.changes.granting`.

Rules of every grant: it is persisted and recorded when the method returns, and holds from the next call; what a deny takes away
stops running calls; `expires_in` is in seconds, `max_uses` in calls. `lifetime` is `lasting`, or `session` for the calls of the
`session` that is named, until that ends, or `once` for one call (of the `session`, where one is named). Raises NotFound for a
component that nobody knows, and GrantError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sandbox.changes.attempts import Attempt, begin
from sandbox.changes.granting import About, Granting
from sandbox.changes.proposals import Proposal, TakenBack, grant, propose, take_back
from sandbox.policy.effect import Effect
from sandbox.policy.grants import (
    Grant,
    GrantKind,
    Lifetime,
    make_entry_environment,
    make_entry_network,
    make_entry_resource,
    make_entry_storage,
)
from sandbox.receipt import Receipt

Words = Literal["allow", "deny"]


class Permissions:
    """What `Sandbox` offers to grant and to revoke."""

    def _opened(self) -> Granting:
        raise NotImplementedError

    async def grant_storage_permission(
        self,
        component: str,
        uri: str,
        access: Iterable[str],
        *,
        mount: str | None = None,
        max_file_size: str | None = None,
        max_total_size: str | None = None,
        effect: Words = "allow",
        reason: str | None = None,
        expires_in: float | None = None,
        max_uses: int | None = None,
        lifetime: Lifetime = "lasting",
        session: str | None = None,
        who: str = "local",
    ) -> Grant:
        """Grant, or deny, files: as a storage line of a policy."""
        sizes = {"max_file_size": max_file_size, "max_total_size": max_total_size}
        entry = make_entry_storage(uri, access, mount=mount, effect=effect, **sizes)
        about = About(who, reason, expires_in, max_uses, lifetime, session)
        return await self._opened().grant(component, "storage", entry, Effect(effect), about)

    async def grant_network_permission(
        self,
        component: str,
        host: str | None = None,
        *,
        cidr: str | None = None,
        ports: Iterable[int | str] | None = None,
        protocols: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        paths: Iterable[str] | None = None,
        limits: Mapping[str, str | int] | None = None,
        effect: Words = "allow",
        reason: str | None = None,
        expires_in: float | None = None,
        max_uses: int | None = None,
        lifetime: Lifetime = "lasting",
        session: str | None = None,
        who: str = "local",
    ) -> Grant:
        """Grant, or deny, hosts: as a network line of a policy, with its `limits` (`{"requests": "60/min"}`)."""
        lists = {"ports": ports, "protocols": protocols, "methods": methods, "paths": paths}
        entry = make_entry_network(host, cidr=cidr, limits=limits, effect=effect, **lists)  # type: ignore[arg-type] # each by its name
        about = About(who, reason, expires_in, max_uses, lifetime, session)
        return await self._opened().grant(component, "network", entry, Effect(effect), about)

    async def grant_environment_permission(
        self,
        component: str,
        key: str,
        *,
        value: str | None = None,
        effect: Words = "allow",
        reason: str | None = None,
        expires_in: float | None = None,
        max_uses: int | None = None,
        lifetime: Lifetime = "lasting",
        session: str | None = None,
        who: str = "local",
    ) -> Grant:
        """Grant, or deny, a variable: as an environment line of a policy."""
        entry = make_entry_environment(key, value=value, effect=effect)
        about = About(who, reason, expires_in, max_uses, lifetime, session)
        return await self._opened().grant(component, "environment", entry, Effect(effect), about)

    async def grant_resource_permission(
        self,
        component: str,
        *,
        reason: str | None = None,
        expires_in: float | None = None,
        max_uses: int | None = None,
        lifetime: Lifetime = "lasting",
        session: str | None = None,
        who: str = "local",
        **limits: str | int,
    ) -> Grant:
        """Grant other limits (`memory="128Mi"`, `wall_time="60s"`) in place of the policy's."""
        about = About(who, reason, expires_in, max_uses, lifetime, session)
        return await self._opened().grant(component, "resource", make_entry_resource(**limits), Effect.ALLOW, about)

    async def grant_from_denial(
        self,
        denial_id: str,
        *,
        reason: str | None = None,
        expires_in: float | None = None,
        max_uses: int | None = None,
        lifetime: Lifetime = "lasting",
        session: str | None = None,
        who: str = "local",
    ) -> Grant:
        """Grant the smallest thing that would have allowed a denied effect. Raises NotFound for an unknown denial, too."""
        about = About(who, reason or f"from denial {denial_id}", expires_in, max_uses, lifetime, session)
        return await self._opened().grant_from_denial(denial_id, about)

    def propose(
        self, component: str, kind: GrantKind, entry: Mapping[str, Any], *, about: About, effect: Words = "allow"
    ) -> Proposal:
        """What granting an entry (as `sandbox.policy.grants.make_entry` spells it) would change; grants nothing."""
        return propose(self._opened(), component, kind, entry, Effect(effect), about)

    async def grant_proposed(self, proposal: Proposal) -> Grant:
        """Make a grant as it was proposed. Raises GrantError where it would change something else by now."""
        return await grant(self._opened(), proposal)

    async def take_back(self, grants: Iterable[Grant]) -> TakenBack:
        """End those of the grants whose end gives nothing: for who may take away and not give."""
        return await take_back(self._opened(), grants)

    def attempt(self, tool: str, arguments: Mapping[str, Any], *, subject: str, session: str | None) -> Attempt:
        """Record that somebody uses one of the host's own tools. Raises SandboxError, HostUnavailable, NotAdmitted."""
        opened = self._opened()
        opened.changes.components.stops.refuse(session)
        return begin(opened.log, tool, arguments, subject=subject, session=session)

    async def revoke(self, grant_id: str) -> Receipt:
        """End a grant for good, and stop the running calls that held what it gave. Raises NotFound, GrantError."""
        return await self._opened().revoke(grant_id)

    async def reset_permissions(self, component: str) -> tuple[tuple[Grant, Receipt], ...]:
        """End every grant of a component, denies too: what its accepted document says holds again. Raises NotFound.

        The grants that this ended, each with its receipt.
        """
        return await self._opened().reset(component)

    async def reset_everything(self) -> tuple[Receipt, tuple[str, ...]]:
        """End every grant, also where the store was changed by something else; which of its tables were, and are forgotten."""
        return await self._opened().start_anew()

    async def end_session(self, session: str) -> tuple[Grant, ...]:
        """End what was granted for a session, which is over; calls of it that held such a grant are stopped."""
        return await self._opened().end_session(session)

    def grants(self, component: str | None = None) -> tuple[Grant, ...]:
        """The grants that hold now, the oldest first: all, or a component's."""
        opened = self._opened()
        return opened.store.grants(opened.clock(), component=component)
