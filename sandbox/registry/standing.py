"""The installed components that a host shows: made of what is remembered, loaded when they are first called.

Decides which installed components stand here now, after this or another process changed the registry, and that one which cannot
(its description is gone, its tools' names are taken, its policy does not hold any more) touches no other.

Rules: nothing is compiled and no worker started for a list; a component runs from the home's own copy, and only where that is
still what its digest says; one whose update nobody accepted has no tools; one whose policy is broken is shown, and given nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.admission import Admission
from sandbox.changes.applying import Changes
from sandbox.components import Components, Loaded, LoadedComponent, Running
from sandbox.dispatch import Invoker
from sandbox.errors import ComponentError, HostUnavailable, SandboxError
from sandbox.host.asking import Ask
from sandbox.host.host import Host, Keep
from sandbox.host.outcome import Outcome
from sandbox.in_force.accepted import Accepted, Documents
from sandbox.in_force.effective import Effective, deny_all
from sandbox.registry.asked import judge
from sandbox.registry.listing import MADE_BY, Listing, read, work_out
from sandbox.registry.sources import AskedText, asked_by
from sandbox.registry.surface import Change, Surface, differences
from sandbox.state import Installed, Store
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import tools_of
from sandbox.wit.types import Digest, Export, World
from sandbox.wit.wire import world_from_json

_LOG = logging.getLogger("sandbox")


@dataclass(slots=True)
class Standing:
    """The installed components of one host. `start` gives the running host, `folder` is where the copies lie."""

    components: Components
    documents: Documents
    store: Store
    changes: Changes
    start: Callable[[], Awaitable[Host]]
    folder: Path
    held: dict[str, Installed] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    _everything: bool = False
    _names: set[str] = field(default_factory=set)
    _losers: list[Running] = field(default_factory=list)
    _ready: set[Digest] = field(default_factory=set)
    _unready: set[Digest] = field(default_factory=set)
    _failed: dict[Digest, SandboxError] = field(default_factory=dict)
    _loading: dict[Digest, asyncio.Task[None]] = field(default_factory=dict)
    _retiring: set[asyncio.Task[Any]] = field(default_factory=set)
    _restored: bool = False

    def follow(self, name: str | None = None) -> None:
        """Show this installed component from the next `reconcile` on, or all that there are and will be."""
        if name is None:
            self._everything = True
        else:
            self._names.add(name)

    @property
    def following(self) -> bool:
        """Whether anything that is installed is shown here."""
        return self._everything or bool(self._names)

    def copy_of(self, digest: Digest) -> Path:
        """Where the home's copy of a component lies."""
        return self.folder / f"{digest}.wasm"

    def drop(self, name: str) -> None:
        """Take a component away, installed or not; the next `reconcile` gives its running calls."""
        self._losers += self.components.calls_of(name)
        digest = self.components.loaded[name].digest
        self.components.remove(name)
        self.held.pop(name, None)
        self._names.discard(name)
        self._retire(digest)

    def reconcile(self) -> list[Running]:
        """Make the store's word of what is installed hold here; the running calls of what is here no longer."""
        if not self.following:
            return self._told()
        rows = {row.name: row for row in self.store.installed() if self._everything or row.name in self._names}
        for name in [name for name, row in self.held.items() if rows.get(name) != row]:
            following = name in self._names
            self.drop(name)
            self._names |= {name} if following else set()
        self.faults = {name: why for name, why in self.faults.items() if name in rows}
        for row in rows.values():
            if row.name not in self.held:
                self._add(row)
        self._restored = True
        return self._told()

    def loaded_of(self, row: Installed) -> Loaded:
        """The component as it stands by what is remembered of it. Raises ComponentError where that is not enough."""
        listed, notes = self._listed(row)
        tools = listed if row.accepted else ()
        effective = self._effective(row)
        doubts = [f"`{tool.name}`: {note}" for tool in tools for note in tool.notes]
        doubts += [one.told for one in effective.left_out]
        waiting = self.waiting(row)
        shown = LoadedComponent(row.name, row.digest, tools, notes, (*effective.warnings, *doubts), waiting)
        return Loaded(shown, effective)

    def _listed(self, row: Installed) -> Listing:
        """Its tools, as they were worked out when it was installed; by another version of this program, now."""
        kept = self.store.listing(row.name, row.digest, MADE_BY)
        listing = None if kept is None else read(kept, row.name, row.digest)
        return listing or work_out(row.name, self.world(row.digest), row.digest)

    def tool_names(self, *, besides: str) -> tuple[str, ...]:
        """The tools of every other component, installed or loaded here."""
        names = {tool.name for tool in self.components.tools.values() if tool.component != besides}
        for row in self.store.installed():
            if row.name != besides and row.name not in self.held:
                with suppress(SandboxError):  # it has no tools, and says so itself
                    names |= {tool.name for tool in self._listed(row)[0]}
        return tuple(sorted(names))

    def world(self, digest: Digest) -> World:
        """The world of an installed component. Raises ComponentError where it is not remembered."""
        text = self.store.world(digest)
        if text is None:
            raise ComponentError("what it is was forgotten or changed: load it again")
        try:
            return world_from_json(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ComponentError(f"what it is does not read as that, load it again: {error}") from error

    def updated(self, row: Installed) -> tuple[Change, ...]:
        """What an update changed that nobody accepted yet."""
        if row.accepted:
            return ()
        old, new = (self.surface(row.name, digest) for digest in (row.surface, row.digest))
        return differences(old, new)

    def surface(self, name: str, digest: Digest) -> Surface:
        """The tools and imports of an installed component."""
        world = self.world(digest)
        return Surface.of(tools_of(name, world, digest), world.imports)

    def waiting(self, row: Installed) -> tuple[str, ...]:
        """What waits for somebody's acceptance, in words."""
        accept = f"`sandbox component accept {row.name}`"
        told = [f"it was updated, and has no tools until {accept}: {change.line}" for change in self.updated(row)]
        if row.decided or row.request_text is None:
            return tuple(told)
        command = f"`sandbox component accept {row.name}` shows and accepts it"
        return (*told, *self._asking(self.asked_of(row), row.name, row.digest, command))

    def asked_by_file(self, name: str, digest: Digest, file: Path, section: bytes | None) -> tuple[str, ...]:
        """What a component asks for that is loaded from a file, and that nobody has accepted, in words."""
        asked = asked_by(file, section)
        if asked is None:
            return ()
        how = f"`--policy {asked.path}` accepts it" if asked.path else "`sandbox component load` shows it, and can accept it"
        return self._asking(asked, name, digest, how)

    def _asking(self, asked: AskedText, name: str, digest: Digest, how: str) -> tuple[str, ...]:
        judged = judge(asked, self.documents, self.changes.around, name, digest)
        refused = tuple(f"the policy that it asks for is refused: {problem}" for problem in judged.problems)
        return refused or (f"the policy that it asks for, {asked.file}, waits: {how}",)

    def asked_of(self, row: Installed) -> AskedText:
        """The policy that an installed component asks for, as it was when it was loaded."""
        text = row.request_text or ""
        return AskedText(Path(row.request_file).name, text, row.request_file if "/" in row.request_file else "")

    def loaded(self, digest: Digest) -> None:
        """Hear that the host has this component: its bytes may be installed under another name."""
        self._ready.add(digest)
        self._unready.discard(digest)

    def awaits_loading(self, name: str) -> bool:
        """Whether the next call of a component waits until it is compiled and loaded."""
        row = self.held.get(name)
        return row is not None and row.digest in self._unready

    async def ready(self, tool: str) -> None:
        """Have the component of a tool loaded, where it is one of ours. A failure is told by the call itself."""
        if (found := self.components.find(tool)) is None:
            await self.changes.refresh()
            if (found := self.components.find(tool)) is None:
                return
        digest = found[0].digest
        if found[0].name not in self.held or digest in self._ready:
            return
        if digest not in self._loading:
            self._loading[digest] = asyncio.create_task(self._load(digest))
            self._loading[digest].add_done_callback(lambda _: self._loading.pop(digest, None))
        # Who asked first may go away: the others still want it.
        await asyncio.shield(self._loading[digest])

    def over(self, host: Callable[[], Host]) -> Invoker:
        """The host, or what tells a call why its component could not be loaded."""
        return _Failing(self._failed, self._unready, host) if self._unready else host()

    async def close(self) -> None:
        """Wait for nothing any more."""
        for task in (*self._loading.values(), *self._retiring):
            task.cancel()
        await asyncio.gather(*self._loading.values(), *self._retiring, return_exceptions=True)

    async def _load(self, digest: Digest) -> None:
        try:
            host = await self.start()
            if not self.copy_of(digest).exists():
                # Homes that share a store share what is installed, and no files.
                raise ComponentError("its bytes are not in this home", help="`sandbox component load FILE.wasm` puts them there")
            found = await host.load(self.copy_of(digest))
            if found.digest != digest:
                raise ComponentError("the home's copy of the component was changed", help="load it again")
        except SandboxError as error:
            self._failed[digest] = error
            return
        self._failed.pop(digest, None)
        self.loaded(digest)

    def _effective(self, row: Installed) -> Effective:
        accepted = self._accepted(row)
        try:
            return self.changes.effective(row.name, row.digest, accepted)
        except SandboxError as error:
            return deny_all(accepted, row.digest, error)

    def _accepted(self, row: Installed) -> Accepted:
        if not row.accepted:
            return self.documents.faulty(ComponentError("it was updated, and nobody has accepted the update"))
        stored = self.store.component(row.name, row.digest)
        try:
            return self.documents.unaccepted(row.name) if stored is None else self.documents.stored(stored)
        except SandboxError as error:
            if stored is None:
                return self.documents.faulty(error)
            return self.documents.faulty(error, stored.policy_text, stored.policy_file, stored.accepted_by)

    def _add(self, row: Installed) -> None:
        try:
            loaded = self.loaded_of(row)
            self.components.add(loaded)
        except SandboxError as error:
            if self.faults.get(row.name) != error.message:
                _LOG.error("%s is left out: %s", row.name, error.message)
            self.faults[row.name] = error.message
            return
        self.faults.pop(row.name, None)
        self.held[row.name] = row
        self._unready |= {row.digest} - self._ready
        # Of what is there from the start, whoever restores it tells.
        for problem in loaded.effective.problems if row.accepted and self._restored else ():
            _LOG.error("%s: nothing is granted: %s", row.name, problem)

    def _told(self) -> list[Running]:
        losers, self._losers = self._losers, []
        return losers

    def _retire(self, digest: Digest) -> None:
        """End the idle workers of a component that is here no longer, under no name."""
        if digest in self._ready and all(one.digest != digest for one in self.components.loaded.values()):
            self._ready.discard(digest)
            task = asyncio.create_task(self._retired(digest))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retired(self, digest: Digest) -> None:
        await (await self.start()).retire(digest)


@dataclass(frozen=True, slots=True)
class _Failing:
    """The host for a call whose component may be one that could not be loaded."""

    failed: Mapping[Digest, SandboxError]
    unready: Collection[Digest]
    host: Callable[[], Host]

    async def invoke(
        self,
        admission: Admission,
        template: WasiTemplate,
        export: Export,
        arguments: Mapping[str, Any],
        *,
        call_id: str,
        secrets: Mapping[str, str],
        ask: Ask | None,
        keep: Keep | None,
    ) -> Outcome:
        """Run one admitted call, or raise why it cannot be."""
        if (error := self.failed.get(template.component)) is not None:
            raise error
        if template.component in self.unready:
            raise HostUnavailable("the component was updated while it was called", help="call again")
        return await self.host().invoke(
            admission, template, export, arguments, call_id=call_id, secrets=secrets, ask=ask, keep=keep
        )
