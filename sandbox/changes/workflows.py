"""Load and unload documents for several components (`scope: workflow`), in every process of a home, until they are unloaded.

Decides which bytes a document gives to: those that carry its names when it is loaded; and that a document may not be loaded which
would take its policy from a component that it does not name, or which gives one that it names more than the ceiling allows: who
loads it is told, line by line. What it gives is `sandbox.in_force.shared`.

`load` and `unload`, in order: 1. record it  2. keep it in the store  3. have the other processes look, and look here: what is
taken away stops the calls that run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.admission import new_request_id
from sandbox.audit import Event, EventType, Redactor
from sandbox.changes.granting import Granting
from sandbox.errors import Code, NotFound, PolicyError, Problem
from sandbox.in_force.accepted import Accepted
from sandbox.in_force.effective import Around, compile_effective
from sandbox.in_force.shared import Held, Shared
from sandbox.policy.file import read_policy_file
from sandbox.policy.refusal import one_of
from sandbox.policy.workflow import Workflow, load_workflow
from sandbox.receipt import Receipt
from sandbox.state.workflows import StoredWorkflow
from sandbox.wit.types import Digest


@dataclass(slots=True)
class Workflows:
    """The documents of one home; `granting` knows its store, its record and its other processes."""

    granting: Granting

    async def load(self, file: Path, name: str, *, who: str) -> tuple[Workflow, Receipt]:
        """Have a document hold from the next call, in place of the one of that name. Raises PolicyError with every problem."""
        text = read_policy_file(file).decode("utf-8", "surrogateescape")
        workflow = load_workflow(text, file=file.name)
        changes, store = self.granting.changes, self.granting.store
        uris = tuple(dict.fromkeys(entry.uri for entry in workflow.shared.permissions.storage.allow))
        async with changes.lock:
            stored = StoredWorkflow(name, file.name, text, who, self.granting.clock(), self._holders(workflow), uris)
            self._refuse_what_cannot_hold(stored, workflow)
            since = store.generation()
            store.put_workflow(stored, before_commit=lambda: self._record(EventType.POLICY_LOADED, stored, workflow))
            telling = self.granting.tell_others(since)
            stopped = await changes.apply()
        return workflow, Receipt("", store.generation(), stopped, await telling)

    async def unload(self, name: str, *, who: str) -> Receipt:
        """Have a document hold no more; what it gave is taken from running calls. Raises NotFound."""
        changes, store = self.granting.changes, self.granting.store
        async with changes.lock:
            known = {one.name: one for one in store.workflows()}
            if (found := known.get(name)) is None:
                raise NotFound(f"no workflow `{name}` is loaded", help=one_of(name, tuple(known)) if known else "none is loaded")
            since = store.generation()
            ended = replace(found, who=who)
            store.drop_workflow(name, self.granting.clock(), before_commit=lambda: self._record(EventType.POLICY_UPDATED, ended))
            telling = self.granting.tell_others(since)
            stopped = await changes.apply()
        return Receipt("", store.generation(), stopped, await telling)

    def held(self) -> tuple[Held, ...]:
        """Every document that holds, by name."""
        return self.granting.changes.around.shared.held()

    def _refuse_what_cannot_hold(self, stored: StoredWorkflow, workflow: Workflow) -> None:
        around = self.granting.changes.around
        others = [one for one in self.granting.store.workflows() if one.name != stored.name]
        trying = replace(around, shared=Shared(lambda: (*others, stored), environment=around.environment))
        problems = tuple(dict.fromkeys(self._problems(around, trying, stored, workflow)))
        if problems:
            raise PolicyError(problems, code=Code.COMPILATION_FAILED)

    def _problems(self, around: Around, trying: Around, stored: StoredWorkflow, workflow: Workflow) -> Iterator[Problem]:
        for name, digest, accepted in self._accepted():
            ours = {grant.origin: grant.id for grant in trying.shared.grants_of(name, digest)}
            try:
                tried = compile_effective(trying, name, digest, accepted, (), stored.at)
            except PolicyError as error:
                if name not in workflow.components and self._holds(around, name, digest, accepted, stored.at):
                    told = f"`{name}`, which is not among `components`, would lose its whole policy: {error.problems[0].message}"
                    yield Problem(f"{stored.file}:1:1", "components", told, f"name `{name}` too, or change its policy first")
                continue
            for one in tried.left_out:
                if one.grant.origin in ours and name in workflow.components:
                    place = one.grant.id.rpartition(f" {stored.name}:")[2]
                    yield Problem(f"{stored.file}:{place}", "shared_permissions", f"for `{name}`: {one.why}", one.help)

    def _holders(self, workflow: Workflow) -> tuple[tuple[str, Digest], ...]:
        return tuple((name, digest) for name in workflow.components for digest in sorted(self._carrying(name)))

    def _carrying(self, name: str) -> set[Digest]:
        """What the name stands for now: here, in the registry, else what was loaded last. No update that nobody accepted."""
        store, loaded = self.granting.store, self.granting.changes.components.loaded.get(name)
        row, found = store.installed_one(name), set() if loaded is None else {loaded.digest}
        if row is not None:
            return found | {row.digest} if row.accepted else found - {row.digest}
        remembered = None if found else store.component(name)
        return found if remembered is None else {remembered.digest}

    def _accepted(self) -> Iterator[tuple[str, Digest, Accepted]]:
        """Every component that something was accepted for, and those that are loaded here."""
        documents, components = self.granting.documents, self.granting.changes.components
        seen: set[tuple[str, Digest]] = set()
        for component in components.loaded.values():
            seen.add((component.name, component.digest))
            yield component.name, component.digest, component.effective.accepted
        for one in self.granting.store.components():
            if (one.name, one.digest) not in seen:
                yield one.name, one.digest, documents.stored(one)

    def _holds(self, around: Around, name: str, digest: Digest, accepted: Accepted, now: float) -> bool:
        try:
            compile_effective(around, name, digest, accepted, (), now)
        except PolicyError:
            return False
        return True

    def _record(self, kind: EventType, stored: StoredWorkflow, workflow: Workflow | None = None) -> None:
        told: dict[str, Any] = {"workflow": stored.name}
        if workflow is None:
            told |= {"unloaded": True}
        else:
            holders = Held(stored, workflow).holders()
            told |= {"components": list(workflow.components), "holders": holders, "policy": stored.text}
        event = Event(kind, new_request_id(), subject=stored.who, detail=told)
        self.granting.log.append(event, Redactor(), sync=True)


class Sharing:
    """What `Sandbox` offers for documents of several components."""

    def _opened(self) -> Granting:
        raise NotImplementedError

    async def load_workflow(self, file: Path | str, *, name: str | None = None, who: str = "local") -> tuple[Workflow, Receipt]:
        """Have a policy for several components hold, in place of the one of that name (the file's, without one).

        Raises PolicyError with every problem: of the document, of a component that it names, of one that it would take from.
        """
        path = Path(file)
        return await Workflows(self._opened()).load(path, path.stem.removesuffix(".policy") if name is None else name, who=who)

    async def unload_workflow(self, name: str, *, who: str = "local") -> Receipt:
        """Take back what it gave; calls that run under it are stopped. Raises NotFound."""
        return await Workflows(self._opened()).unload(name, who=who)

    def workflows(self) -> tuple[Held, ...]:
        """Every policy for several components that holds, by name."""
        return Workflows(self._opened()).held()
