"""Load a component from a file under a policy: `Sandbox.load`.

Decides which policy a component begins with: what is given, else what was accepted for these very bytes before, else none. What
is installed to stay is `sandbox.registry.installing`'s.
"""

from __future__ import annotations

from pathlib import Path

from sandbox.admission import new_request_id
from sandbox.audit import AuditLog, Event, EventType, Redactor
from sandbox.changes.applying import Changes
from sandbox.changes.granting import Granting
from sandbox.components import Components, Loaded, LoadedComponent
from sandbox.dispatch import Dispatch
from sandbox.errors import PolicyError
from sandbox.host.host import Component, Host
from sandbox.in_force.accepted import LOCAL, Accepted, Documents, Given
from sandbox.registry.standing import Standing
from sandbox.state import Home, Store
from sandbox.wit.tools import notes_of, tools_of
from sandbox.wit.types import Digest


class Loading:
    """What `Sandbox` offers to load components for as long as it is open."""

    _changes: Changes
    _components: Components
    _dispatch: Dispatch
    _documents: Documents
    _granting: Granting
    _home: Home
    _log: AuditLog
    _standing: Standing
    _store: Store

    async def _started(self) -> Host:
        raise NotImplementedError

    async def load(
        self, path: Path | str, *, policy: Given | None = None, name: str | None = None, lenient: bool = False
    ) -> LoadedComponent:
        """Load a component under a policy; its tools can be called from now on.

        `policy` is a file, the name of a policy that ships with the host, or a document: giving it is accepting it. Without one,
        what was accepted for this very component before holds, else nothing is granted.

        Raises ComponentError for a component, PolicyError for a policy that is refused; `lenient`, a component whose policy is
        refused is listed and granted nothing, and `get_policy` says why.
        """
        host = await self._started()
        file = _absolute(path)
        name = file.stem if name is None else name
        self._home.data_place(name)  # refuses a name before anything is read; a refused component leaves no folder
        given = self._given(policy, lenient)
        component = await host.load(file)
        self._standing.loaded(component.digest)
        taken = given or self._accepted_before(name, component.digest) or self._documents.unaccepted(name)
        async with self._changes.lock:
            try:
                loaded = self._prepared(name, component, taken, file)
            except PolicyError as error:
                if not lenient:
                    raise
                taken = self._documents.faulty(error, taken.text, taken.path or taken.file)
                loaded = self._prepared(name, component, taken, file)
            self._record_load(loaded, file)
            self._granting.put(name, component.digest, taken, str(file), EventType.POLICY_LOADED)
            self._components.add(loaded)
            await self._changes.apply()
        return loaded.shown

    def _prepared(self, name: str, component: Component, taken: Accepted, file: Path) -> Loaded:
        tools = tools_of(name, component.world, component.digest, others=tuple(self._components.tools))
        self._components.refuse_collision(name, tools)
        effective = self._changes.effective(name, component.digest, taken)
        notes = [f"`{note.wit_id}` is no tool: {note.message}" for note in notes_of(component.world)]
        doubts = [f"`{tool.name}`: {note}" for tool in tools for note in tool.notes]
        doubts += [one.told for one in effective.left_out]
        doubts += self._dispatch.secrets.unset(effective.secrets)
        waiting = (
            () if taken.by == LOCAL else self._standing.asked_by_file(name, component.digest, file, component.policy_section)
        )
        shown = LoadedComponent(name, component.digest, tools, tuple(notes), (*effective.warnings, *doubts), waiting)
        return Loaded(shown, effective)

    def _given(self, policy: Given | None, lenient: bool) -> Accepted | None:
        try:
            return None if policy is None else self._documents.read(policy)
        except PolicyError as error:
            if not lenient:
                raise
            return self._documents.faulty(error, path=str(policy))

    def _accepted_before(self, name: str, digest: Digest) -> Accepted | None:
        row = self._store.component(name, digest)
        return self._documents.stored(row) if row is not None and row.accepted_by else None

    def _record_load(self, loaded: Loaded, file: Path) -> None:
        told = {"path": str(file), "tools": [tool.name for tool in loaded.shown.tools]}
        event = Event(EventType.COMPONENT_LOADED, new_request_id(), component=loaded.name, digest=loaded.digest, detail=told)
        self._log.append(event, Redactor())


def _absolute(path: Path | str) -> Path:
    return Path(path).absolute()
