"""What documents for several components do here: what each gives the components that it names, and keeps from all others.

Decides which entries a component is given beside its own document, as grants that end with the document, and which folders no
other component may be given. Whether they fit the ceiling is decided where all grants are: `sandbox.in_force.effective`.

Rules: a name alone gives nothing: what is allowed is given to the bytes that carried the name when the document was loaded, what
is denied is denied to whatever carries it; a document that does not read any more gives nothing, keeps its folders from
everybody, and is an error, once; a path is compared where it ends, links followed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import PolicyError
from sandbox.policy.effect import Effect
from sandbox.policy.entries import StorageAllow
from sandbox.policy.grants import Grant, GrantKind
from sandbox.policy.refusal import Refusal
from sandbox.policy.workflow import Workflow, load_workflow
from sandbox.state import Store
from sandbox.state.workflows import StoredWorkflow
from sandbox.template.place import Surroundings, locate, text_of
from sandbox.wit.types import Digest

_LOG = logging.getLogger("sandbox")
_KINDS: Mapping[str, GrantKind] = {"storage": "storage", "network": "network", "environment": "environment"}


@dataclass(frozen=True, slots=True)
class Held:
    """A document for several components, and what of it is remembered."""

    stored: StoredWorkflow
    workflow: Workflow

    def holders(self) -> dict[str, tuple[Digest, ...]]:
        """Each name in it, with the digests that it gives to."""
        held = self.stored.holders
        return {name: tuple(digest for other, digest in held if other == name) for name in self.workflow.components}

    def gives_to(self, name: str, digest: Digest) -> bool:
        """Whether these very bytes carried the name when it was loaded."""
        return name in self.workflow.components and (name, digest) in self.stored.holders


class Shared:
    """The documents that hold. `stored` gives them as they are, `generation` a number that grows when they change."""

    def __init__(
        self,
        stored: Callable[[], Iterable[StoredWorkflow]] = tuple,
        generation: Callable[[], int] = lambda: 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._stored, self._generation = stored, generation
        self._environment = {} if environment is None else environment
        self._seen: int | None = None
        self._held: tuple[Held, ...] = ()
        self._unread: tuple[StoredWorkflow, ...] = ()

    def held(self) -> tuple[Held, ...]:
        """Every document that can be read, by name."""
        generation = self._generation()
        if generation != self._seen:
            read = [(stored, _read(stored)) for stored in self._stored()]
            self._held = tuple(one for _, one in read if one is not None)
            self._unread = tuple(stored for stored, one in read if one is None)
            self._seen = generation
        return self._held

    def grants_of(self, name: str, digest: Digest) -> tuple[Grant, ...]:
        """What the component is given and denied by the documents that name it."""
        return tuple(grant for one, grant in self._of(name, digest) if grant.effect is Effect.DENY or one.gives_to(name, digest))

    def withheld_from(self, name: str, digest: Digest) -> tuple[Grant, ...]:
        """What these bytes are not given by documents that name them: others carried the name, or none, when they were loaded."""
        found = self._of(name, digest)
        return tuple(grant for one, grant in found if grant.effect is Effect.ALLOW and not one.gives_to(name, digest))

    def kept_from(self, name: str) -> tuple[str, ...]:
        """The folders and files that other components share, and this one may not be given."""
        around = Surroundings("/nowhere", str(Path.home()), self._environment, (), os.path.realpath)
        others = [one.workflow for one in self.held() if name not in one.workflow.components]
        entries = (entry for workflow in others for entry in workflow.shared.permissions.storage.allow)
        places = [place for entry in entries for place in _places_of(entry, around)]
        places += [place for stored in self._unread for uri in stored.uris for place in _remembered(uri, around)]
        return tuple(dict.fromkeys(places))

    def _of(self, name: str, digest: Digest) -> Iterable[tuple[Held, Grant]]:
        named = (one for one in self.held() if name in one.workflow.components)
        return ((one, grant) for one in named for grant in _grants(one, name, digest))


def shared_of(store: Store, environment: Mapping[str, str]) -> Shared:
    """The documents of a store."""
    return Shared(store.workflows, store.generation, environment)


def _places_of(entry: StorageAllow, around: Surroundings) -> tuple[str, ...]:
    try:
        return tuple(text_of(located.names) for located in locate(entry, around))
    except Refusal:
        # A variable that this host has not: then nobody is given the place either.
        return ()


def _remembered(uri: str, around: Surroundings) -> tuple[str, ...]:
    """Where a place is that is known by its uri alone; everything, where even that does not read any more."""
    try:
        return _places_of(StorageAllow(uri=uri, access=("read",)), around)
    except ValueError:
        return ("/",)


def _read(stored: StoredWorkflow) -> Held | None:
    try:
        return Held(stored, load_workflow(stored.text, file=stored.file))
    except PolicyError as error:
        _LOG.error("the workflow `%s` gives nothing, and keeps its folders from every component: %s", stored.name, error)
        return None


def _grants(held: Held, name: str, digest: Digest) -> Iterable[Grant]:
    stored = held.stored
    for section, effect, entry in held.workflow.entries():
        place = entry.origin.removeprefix(f"{stored.file}:")
        yield Grant(
            f"of the workflow {stored.name}:{place}",
            name,
            digest,
            _KINDS[section],
            entry.plain(),
            who=stored.who,
            created_at=stored.at,
            effect=Effect(effect),
            why=held.workflow.description,
        )
