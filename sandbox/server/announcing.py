"""Tell every client, of either era, what is no longer as it was listed or read.

Decides when a list or a resource is another one. Leaves who hears of it to `sandbox.server.clients`.

Rules: at most five times a second, what happens in between is told once; nothing is told that did not change. Where roles or the
admission document are others, a handshake client hears of it whose own list is another one; listeners of the era without sessions
share one word for all, and every one hears it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.api import Sandbox
from sandbox.changes.admitted import View
from sandbox.server.clients import Clients
from sandbox.server.resources import COMPONENT, POLICY, RECORD, RECORD_OF, Resources, uri_of
from sandbox.server.tools import ToolList

ANNOUNCE_SECONDS = 0.2
"""The shortest time between two announcements."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What clients were shown: the tools, whom which of them, the resources, and of each component the policy's generation."""

    tools: ToolList
    view: View
    resources: tuple[str, ...]
    generations: dict[str, str]


@dataclass(slots=True)
class Announcer:
    """`listing` gives the list of tools as it is now, and is what clients are shown from then on."""

    sandbox: Sandbox
    clients: Clients
    resources: Resources
    first: Callable[[], Awaitable[ToolList]]
    listing: Callable[[], ToolList]
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _called: set[str] = field(default_factory=set)

    def called(self, component: str) -> None:
        """Note that the record has new entries about a component."""
        self._called.add(component)
        self._woken.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        seen = self._now(await self.first())
        self.sandbox.on_change(self._woken.set)
        while True:
            await self._woken.wait()
            self._woken.clear()
            called, self._called = self._called, set()
            now = self._now(self.listing())
            await self._tell(seen, now, called)
            seen = now
            await asyncio.sleep(ANNOUNCE_SECONDS)

    def _now(self, tools: ToolList) -> _Seen:
        names = [component.name for component in self.sandbox.loaded()]
        return _Seen(
            tools, self.sandbox.view(), tuple(self.resources.uris()), {name: self.sandbox.generation(name) for name in names}
        )

    async def _tell(self, seen: _Seen, now: _Seen, called: set[str]) -> None:
        if seen.tools != now.tools:
            await self.clients.tools_changed()
        elif seen.view != now.view:
            names = now.tools.names
            await self.clients.tools_changed(lambda who: seen.view.shows(who, names) != now.view.shows(who, names))
        if seen.resources != now.resources:
            await self.clients.resources_changed()
        changed = {name for name, generation in now.generations.items() if seen.generations.get(name, generation) != generation}
        described = _described(seen.tools, now.tools) & now.generations.keys()
        recorded = (called | changed) & now.generations.keys()
        uris = [uri_of(POLICY, name) for name in changed] + [uri_of(COMPONENT, name) for name in described]
        uris += [uri_of(RECORD_OF, name) for name in recorded] + ([RECORD] if called or changed else [])
        for uri in sorted(uris):
            await self.clients.updated(uri)


def _described(before: ToolList, after: ToolList) -> set[str]:
    """The components that have a tool which is shown in another way, or not in both lists."""
    if before is after:
        return set()
    names = before.by_name.keys() | after.by_name.keys()
    pairs = ((before.by_name.get(name), after.by_name.get(name)) for name in names)
    return {each.tool.component for pair in pairs if pair[0] != pair[1] for each in pair if each is not None}
