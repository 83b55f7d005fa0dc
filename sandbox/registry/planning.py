"""What installing a component will write: how it differs from before, which document holds, and what is left to decide.

Decides three things for bytes under a name. Whether the tools and imports are accepted: they are where a person said so, where
they are those of before, or where the name is new. Which document holds: the one given, the request if it was accepted, the one
accepted for these very bytes before, the one of the bytes before them where tools and imports are the same, none. Whether the
request still waits: it does until somebody has decided about it, or it asks for no more than what was accepted.

Rules: reads the store and writes nothing; a document is refused here, before anything was changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.changes.applying import Changes
from sandbox.errors import SandboxError
from sandbox.host.artefacts import Loaded as Described
from sandbox.in_force.accepted import LOCAL, NOBODY, Accepted, Documents, Given
from sandbox.registry.asked import accepted_text, judge
from sandbox.registry.inspection import Inspection, Read
from sandbox.registry.sources import Source
from sandbox.registry.standing import Standing
from sandbox.registry.surface import Change, Surface, differences
from sandbox.state import Installed, Store, StoredComponent
from sandbox.template.difference import taken_away
from sandbox.wit.tools import notes_of, tools_of
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What a person said: the document that they give instead, that they accept what is asked for, or the changed tools alone.

    With `alone`, what was accepted for other bytes of that name does not go on to these, whatever their tools are.
    """

    policy: Given | None = None
    request: bool = False
    changes: bool = False
    by: str = LOCAL
    alone: bool = False

    @property
    def of_changes(self) -> bool:
        """Whether the tools and imports as they are now are accepted."""
        return self.changes or self.request or self.policy is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation will write; `stored` is None where what was accepted before stays as it is remembered."""

    row: Installed
    stored: StoredComponent | None
    accepted: Accepted | None
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Planning:
    """Plans for one home."""

    store: Store
    documents: Documents
    changes: Changes
    standing: Standing

    def inspection(self, source: Source, described: Described) -> Inspection:
        """What a person is shown before they decide."""
        others = self.standing.tool_names(besides=source.name)
        tools = tools_of(source.name, described.world, described.digest, others=others)
        asked = None
        if source.asked is not None:
            asked = judge(source.asked, self.documents, self.changes.around, source.name, described.digest)
        old = self.store.installed_one(source.name)
        return Inspection(
            name=source.name,
            digest=described.digest,
            source=source.origin,
            size=described.size,
            imports=described.world.imports,
            tools=tools,
            asked=asked,
            notes=tuple(f"`{note.wit_id}` is no tool: {note.message}" for note in notes_of(described.world)),
            doubts=tuple(f"`{tool.name}`: {note}" for tool in tools for note in tool.notes),
            before=None if old is None else old.surface,
            changes=self._changed(old, source, described),
            read=Read(source, described),
        )

    def plan(self, source: Source, described: Described, given: Acceptance) -> Plan:
        """What installing it with that acceptance will write. Raises ComponentError, PolicyError."""
        old = self.store.installed_one(source.name)
        changes = self._changed(old, source, described)
        surface = source.digest if old is None or not changes or given.of_changes else old.surface
        heir = old if surface == source.digest and not given.alone else None
        accepted = self._accepted(source, given) or self._accepted_before(source, heir)
        if accepted is not None:
            # Raises where it is refused here, under the ceiling and beside the grants.
            self.changes.effective(source.name, source.digest, accepted)
        row = Installed(
            name=source.name,
            digest=source.digest,
            surface=surface,
            source=source.origin,
            size=described.size,
            tools=len(tools_of(source.name, described.world, described.digest)),
            request_file="" if source.asked is None else source.asked.path or source.asked.file,
            request_text=None if source.asked is None else source.asked.text,
            decided=self._decided(source, given, old, accepted),
            installed_at=self.changes.clock(),
        )
        return Plan(row, _stored(row, accepted or self.documents.nothing()), accepted, changes)

    def unasked(self, name: str, digest: Digest) -> Accepted:
        """What holds for these bytes where nobody is asked: what was accepted for them, else the default for their name."""
        row = self.store.component(name, digest)
        return self.documents.stored(row) if row is not None and row.accepted_by else self.documents.unaccepted(name)

    def _changed(self, old: Installed | None, source: Source, described: Described) -> tuple[Change, ...]:
        """How a component differs from the one whose tools were accepted last under its name."""
        if old is None or old.surface == described.digest:
            return ()
        tools = tools_of(source.name, described.world, described.digest)
        return differences(self.standing.surface(old.name, old.surface), Surface.of(tools, described.world.imports))

    def _accepted(self, source: Source, given: Acceptance) -> Accepted | None:
        """The document that was accepted with this very command."""
        if given.policy is not None:
            return replace(self.documents.read(given.policy), by=given.by)
        if given.request and source.asked is not None:
            return replace(accepted_text(source.asked, self.documents), by=given.by)
        return None

    def _accepted_before(self, source: Source, old: Installed | None) -> Accepted | None:
        """What was accepted for these bytes before; else for those before them, where `old` may hand it on."""
        rows = [self.store.component(source.name, source.digest)]
        rows += [self.store.component(source.name, old.surface)] if old is not None else []
        found = next((row for row in rows if row is not None and row.accepted_by), None)
        try:
            return None if found is None else self.documents.stored(found)
        except SandboxError:
            return None  # it does not read as a policy any more: the component stands without, and says so

    def _decided(self, source: Source, given: Acceptance, old: Installed | None, accepted: Accepted | None) -> bool:
        """Whether nothing of the request is left to decide."""
        if source.asked is None or given.request or given.policy is not None:
            return True
        same = old is not None and (old.request_text, Path(old.request_file).name) == (source.asked.text, source.asked.file)
        if old is not None and same and not given.alone:
            return old.decided
        asked = judge(source.asked, self.documents, self.changes.around, source.name, source.digest)
        if accepted is None or asked.template is None:
            return False
        return not taken_away(asked.template, self.changes.effective(source.name, source.digest, accepted).template)


def _stored(row: Installed, taken: Accepted) -> StoredComponent | None:
    """What is remembered as accepted: nothing anew for an update that waits."""
    if not row.accepted:
        return None
    return StoredComponent(
        row.name, row.digest, row.source, taken.path or taken.file, taken.text, taken.by or NOBODY, row.installed_at
    )
