"""The registry of a home: which components it has, what was accepted for each, and the way in for every change of it.

`install`, in order:
1. read      the source, its bytes checked and bounded; nothing of it runs
2. describe  it, in the compile process: its world is all that is listed later
3. compare   its tools and imports with those that were accepted under its name
4. decide    which document holds: the one given, the request if it was accepted, the one accepted before, none
5. keep      its bytes by their digest in the home: a file that is changed later is not run
6. record    and remember all of it, in one step; then every running server hears of it

Rules: nobody has accepted what was not accepted here: a request grants nothing, an update whose tools or imports differ has no
tools until somebody says so; what was accepted stays with a name and the bytes it was accepted for, and goes on to other bytes
only where their tools and imports are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.admission import new_request_id
from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.applying import Changes
from sandbox.changes.granting import Granting
from sandbox.components import LoadedComponent
from sandbox.errors import ComponentError, unknown_component
from sandbox.host.artefacts import Loaded as Described
from sandbox.host.settings import HostSettings
from sandbox.in_force.accepted import LOCAL
from sandbox.receipt import Receipt
from sandbox.registry.describing import describe
from sandbox.registry.inspection import Inspection
from sandbox.registry.listing import MADE_BY, spell, work_out
from sandbox.registry.planning import Acceptance, Plan, Planning
from sandbox.registry.sources import Source, is_bare_name, read_source
from sandbox.registry.standing import Standing
from sandbox.state import Described as StoredDescription
from sandbox.state import Home, Installed, Store
from sandbox.wit.binary import precheck_file
from sandbox.wit.tools import prefix_of
from sandbox.wit.wire import world_to_json

MAX_COMPONENTS = 500
MAX_TOOLS = 2_000
"""Tools of all installed components together: a client lists no more."""


@dataclass(slots=True)
class Registry:
    """The registry of one home, as this process changes it."""

    home: Home
    store: Store
    changes: Changes
    granting: Granting
    standing: Standing
    planning: Planning
    settings: Callable[[], HostSettings]
    _describing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def inspect(self, word: Path | str, *, name: str | None = None, digest: str | None = None) -> Inspection:
        """What an installed component of that name is, else a source; nothing of it is run or kept.

        Raises ComponentError, and NotFound for a name that is neither installed nor a file.
        """
        row = self.store.installed_one(word) if isinstance(word, str) else None
        if row is None:
            if isinstance(word, str) and is_bare_name(word):
                raise unknown_component(word, (one.name for one in self.store.installed()))
            source, described = await self._read(word, name, digest)
        else:
            source = await asyncio.to_thread(self._installed_source, row)
            described = await self._described(source)
        return self.planning.inspection(source, described)

    async def install(
        self, word: Path | str | Inspection, given: Acceptance, *, name: str | None = None, digest: str | None = None
    ) -> tuple[LoadedComponent, Receipt]:
        """Install a component, or another in place of the one that its name stands for.

        Raises ComponentError, and PolicyError for a document that is refused; then nothing has changed.
        """
        if isinstance(word, Inspection):
            if word.read is None:
                raise TypeError("an inspection that `inspect` made is installed, no other")
            return await self._install(word.read.source, word.read.described, given)
        source, described = await self._read(word, name, digest)
        return await self._install(source, described, given)

    async def accept(self, shown: str | Inspection, given: Acceptance) -> tuple[LoadedComponent, Receipt]:
        """Accept what waits of an installed component, or another document; with an inspection, what that showed and no other.

        Raises NotFound, PolicyError, and ComponentError where it is another by now.
        """
        name = shown if isinstance(shown, str) else shown.name
        row = self.store.installed_one(name)
        if row is None:
            raise unknown_component(name, (one.name for one in self.store.installed()))
        asked = None if isinstance(shown, str) or shown.asked is None else shown.asked.text
        if isinstance(shown, Inspection) and (row.digest, row.request_text) != (shown.digest, asked):
            raise ComponentError(f"`{name}` was updated since it was shown", help="look at it again")
        source = await asyncio.to_thread(self._installed_source, row)
        return await self._install(source, await self._described(source), given)

    async def _install(self, source: Source, described: Described, given: Acceptance) -> tuple[LoadedComponent, Receipt]:
        listing = work_out(source.name, described.world, described.digest)
        texts = StoredDescription(json.dumps(world_to_json(described.world)), spell(listing), MADE_BY)
        doubts = [f"`{tool.name}`: {note}" for tool in listing[0] for note in tool.notes]
        async with self.changes.lock:
            plan = self.planning.plan(source, described, given)
            self._refuse_strangers(plan.row)
            await asyncio.to_thread(self._keep, source)
            since = self.store.generation()
            self.store.install(plan.row, texts, plan.stored, before_commit=lambda: self._record(plan, given, doubts))
            if not self.standing.copy_of(source.digest).exists():
                # Another process cleaned up between the two steps; from here on it finds the component in the registry.
                await asyncio.to_thread(self._keep, source)
            self.standing.follow(source.name)
            telling = self.granting.tell_others(since)
            stopped = await self.changes.apply()
        receipt = Receipt(source.name, self.store.generation(), stopped, await telling)
        self._forget_copies()
        loaded = self.changes.components.loaded.get(source.name)
        if loaded is None:
            raise ComponentError(f"`{source.name}` is installed, and left out here: {self.standing.faults.get(source.name)}")
        return loaded.shown, receipt

    async def unload(self, name: str) -> Receipt:
        """Take a component out of the registry, and so out of every server that serves it; out of this host anyway.

        What was accepted and granted stays remembered for its digest. Raises NotFound.
        """
        async with self.changes.lock:
            here = self.changes.components.loaded.get(name)
            row = self.store.installed_one(name)
            if here is None and row is None:
                raise unknown_component(name, {*self.changes.components.loaded, *(one.name for one in self.store.installed())})
            digest = row.digest if row is not None else here.digest if here is not None else None
            event = Event(EventType.COMPONENT_UNLOADED, new_request_id(), subject=LOCAL, component=name, digest=digest)
            since = self.store.generation()
            self.store.uninstall(name, self.changes.clock(), before_commit=lambda: self._write(event))
            if here is not None:
                self.standing.drop(name)
            telling = self.granting.tell_others(since)
            stopped = await self.changes.apply()
        receipt = Receipt(name, self.store.generation(), stopped, await telling)
        self._forget_copies()
        return receipt

    async def _read(self, word: Path | str, name: str | None, digest: str | None) -> tuple[Source, Described]:
        source = await read_source(word, name=name, digest=digest)
        self.home.data_place(source.name)  # refuses a name that no folder can have
        return source, await self._described(source)

    async def _described(self, source: Source) -> Described:
        async with self._describing:
            return await describe(source.data, self.settings())

    def _installed_source(self, row: Installed) -> Source:
        binary = precheck_file(self.standing.copy_of(row.digest))
        if binary.digest != row.digest:
            raise ComponentError("the home's copy of the component was changed", help="load it again")
        asked = None if row.request_text is None else self.standing.asked_of(row)
        return Source(row.name, row.digest, binary.data, row.source, asked)

    def _refuse_strangers(self, row: Installed) -> None:
        """Another component of that name or of those tools, and more than a client can be shown."""
        loaded = self.changes.components.loaded
        if row.name in loaded and row.name not in self.standing.held:
            raise ComponentError(f"a component named `{row.name}` is loaded from a file", help="give this one another `name`")
        others = [other for other in self.store.installed() if other.name != row.name]
        for name in (*(other.name for other in others), *(name for name in loaded if name != row.name)):
            if prefix_of(name).casefold() == prefix_of(row.name).casefold():
                raise ComponentError(f"`{row.name}` and `{name}` would have the same tools", help="give this one another `name`")
        if len(others) >= MAX_COMPONENTS:
            raise ComponentError(f"{MAX_COMPONENTS} components are installed", help="`sandbox component unload NAME` removes one")
        if sum(other.tools for other in others) + row.tools > MAX_TOOLS:
            raise ComponentError(f"the installed components have {MAX_TOOLS} tools", help="unload one that has many")

    def _keep(self, source: Source) -> None:
        """Keep the component's bytes, whole or not at all; the folder is this user's alone."""
        place = self.standing.copy_of(source.digest)
        fresh = place.with_name(f"new-{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with _removed_on_failure(fresh), os.fdopen(descriptor, "wb") as file:
            file.write(source.data)
            file.flush()
            os.fsync(file.fileno())
            fresh.rename(place)

    def _forget_copies(self) -> None:
        """Remove the bytes that no installed component is made of."""
        with self.store.alone() as digests:
            wanted = {self.standing.copy_of(digest).name for digest in digests}
            for path in self.home.components.glob("*.wasm"):
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def _record(self, plan: Plan, given: Acceptance, doubts: list[str]) -> None:
        row = plan.row
        told: dict[str, Any] = {"installed": True, "source": row.source, "tools": row.tools, "asks": row.request_text is not None}
        told |= {"doubts": doubts} if doubts else {}
        self._write(self._event(EventType.COMPONENT_LOADED, row, given, told))
        if plan.changes:
            lines = [change.line for change in plan.changes]
            self._write(self._event(EventType.COMPONENT_CHANGED, row, given, {"accepted": row.accepted, "changes": lines}))
        if plan.stored is not None and plan.accepted is not None:
            document = plan.accepted.document
            told = {"file": plan.stored.policy_file, "policy": document.digest, "warnings": list(document.warnings)}
            self._write(self._event(EventType.POLICY_LOADED, row, given, told))

    def _event(self, kind: EventType, row: Installed, given: Acceptance, told: dict[str, Any]) -> Event:
        return Event(kind, new_request_id(), subject=given.by, component=row.name, digest=row.digest, detail=told)

    def _write(self, event: Event) -> None:
        self.granting.log.append(event, Redactor(), sync=True)


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
