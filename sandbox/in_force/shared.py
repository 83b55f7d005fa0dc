"""What documents for several components do here: what each gives the components that it names, and keeps from all others.

Decides which entries a component is given beside its own document, as grants that end with the document, and which folders no
other component may be given. Whether they fit the ceiling is decided where all grants are: `sandbox.in_force.effective`.

Rules: a document that does not read any more gives nothing and still keeps nobody from anything, and is an error, once; a path is
compared where it ends, links followed.
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

    def held(self) -> tuple[Held, ...]:
        """Every document that can be read, by name."""
        generation = self._generation()
        if generation != self._seen:
            self._held = tuple(one for stored in self._stored() if (one := _read(stored)) is not None)
            self._seen = generation
        return self._held

    def grants_of(self, name: str, digest: Digest) -> tuple[Grant, ...]:
        """What the component is given by the documents that name it."""
        return tuple(grant for one in self.held() if name in one.workflow.components for grant in _grants(one, name, digest))

    def kept_from(self, name: str) -> tuple[str, ...]:
        """The folders and files that other components share, and this one may not be given."""
        others = (one.workflow for one in self.held() if name not in one.workflow.components)
        return tuple(dict.fromkeys(place for workflow in others for place in self._places(workflow)))

    def _places(self, workflow: Workflow) -> Iterable[str]:
        around = Surroundings("/nowhere", str(Path.home()), self._environment, (), os.path.realpath)
        for entry in workflow.shared.permissions.storage.allow:
            yield from _places_of(entry, around)


def shared_of(store: Store, environment: Mapping[str, str]) -> Shared:
    """The documents of a store."""
    return Shared(store.workflows, store.generation, environment)


def _places_of(entry: StorageAllow, around: Surroundings) -> tuple[str, ...]:
    try:
        return tuple(text_of(located.names) for located in locate(entry, around))
    except Refusal:
        # A variable that this host has not: then nobody is given the place either.
        return ()


def _read(stored: StoredWorkflow) -> Held | None:
    try:
        return Held(stored, load_workflow(stored.text, file=stored.file))
    except PolicyError as error:
        _LOG.error("the workflow `%s` gives nothing: %s", stored.name, error)
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
