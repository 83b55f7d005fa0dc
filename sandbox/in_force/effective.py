"""What holds for a component now: the accepted document, the grants, the ceiling, compiled.

Decides which of its grants count for the next call, and which templates a running call may keep: a grant that is used up gives
nothing to the next call but takes nothing from a running one, an ended or expired one takes it from both.

Rules: a grant holds whole or not at all: one that cannot hold here (above this host's ceiling, on a folder of its own, on a link
that now leads elsewhere) is left out and says why, and the rest holds. A document or a deny that cannot hold leaves nothing
granted at all, as does any fault that nobody foresaw. The home's own folders are never granted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sandbox.audit import Redactor
from sandbox.audit.folder import private_folder
from sandbox.errors import PolicyError, Problem, SandboxError, told_one_by_one
from sandbox.in_force.accepted import Accepted
from sandbox.in_force.in_use import Named, named_by
from sandbox.in_force.shared import Shared
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant, GrantKind, with_grants
from sandbox.policy.models import PolicyDocument
from sandbox.redaction.assignments import telling
from sandbox.state.home import Home
from sandbox.state.secret_key import own_places
from sandbox.template.cache import TemplateCache
from sandbox.template.compile import CompiledPolicy, Note, compile_template
from sandbox.template.environment import EnvironmentRules
from sandbox.template.place import Kind
from sandbox.template.template import WasiTemplate
from sandbox.wit.types import Digest

OTHER_BYTES = "when the workflow was loaded, this component was not the one of that name"
OTHER_BYTES_HELP = "`sandbox workflow load FILE` once more gives it to the components that carry the names then"


@dataclass(frozen=True, slots=True)
class Around:
    """What is the same for every component of a host: the home, the ceiling, the host's environment."""

    home: Home
    ceiling: PolicyDocument | None
    environment: Mapping[str, str] = field(repr=False)
    own_files: tuple[str, ...] = ()
    """Files of the host's own beside the home, links resolved: its configuration, its tokens."""
    shared: Shared = field(default_factory=Shared)
    """What documents for several components give and keep."""
    cache: TemplateCache = field(default_factory=lambda: TemplateCache(time.perf_counter))

    @property
    def own(self) -> tuple[str, ...]:
        """What no policy may name: the home, the user's configuration and key, the files named for this host."""
        return (*self.home.own, *own_places(self.environment), *self.own_files)

    def place(self, name: str, policy: str) -> dict[str, Any]:
        """What compiling a document of the component `name` that lies at `policy` needs to know of this host; makes nothing."""
        return {
            "data_folder": str(self.home.data_place(name)),
            "home": str(Path.home()),
            "host_environment": self.environment,
            "protected": (*self.own, *((os.path.realpath(policy),) if policy else ())),
            "resolve": os.path.realpath,
            "kind": kind_of,
            "shared": self.shared.kept_from(name),
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A grant that gives nothing here, why, and what would hold instead."""

    grant: Grant
    why: str
    help: str | None = None

    @property
    def told(self) -> str:
        """The same in a sentence."""
        return f"the grant `{self.grant.id}` gives nothing here: {self.why}"


@dataclass(frozen=True, slots=True)
class Effective:
    """`template` is the next call's; `problems` say why it is empty. What a running call may still hold is `kept_by`.

    `grants` are those that hold, `spent` those that are used up, `left_out` those that would hold, were it not for this host.
    """

    accepted: Accepted
    grants: tuple[Grant, ...]
    template: WasiTemplate
    redactor: Redactor
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()
    spent: tuple[Grant, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    secrets: Named = field(default_factory=Named)

    @property
    def counted(self) -> tuple[str, ...]:
        """The grants of which a call takes one use."""
        return tuple(grant.id for grant in self.grants if grant.max_uses is not None)


def compile_effective(
    around: Around, name: str, digest: Digest, accepted: Accepted, grants: tuple[Grant, ...], now: float
) -> Effective:
    """The document with every grant that can hold here. `grants` are those that have not ended, used up or not.

    Raises PolicyError with every problem of the document, or of a deny, and GrantError for a stored entry that is none.
    """
    if accepted.problems:
        return replace(_empty(accepted, digest), problems=accepted.problems)
    grants = (*around.shared.grants_of(name, digest), *grants)
    withheld = tuple(LeftOut(grant, OTHER_BYTES, OTHER_BYTES_HELP) for grant in around.shared.withheld_from(name, digest))
    left: dict[str, LeftOut] = {}
    while True:
        tried = tuple(grant for grant in grants if grant.id not in left)
        try:
            effective = _compile_all(around, name, digest, accepted, tried, now)
        except PolicyError as error:
            blamed = _blamed(tried, error.problems)
            if not blamed:
                raise
        else:
            blamed = _blamed(tried, _narrowed(effective.warnings))
            if not blamed:
                holding = (one for one in left.values() if one.grant.holds(now))
                return replace(effective, left_out=(*holding, *withheld))
        left |= blamed


def _blamed(grants: tuple[Grant, ...], problems: Iterable[Problem]) -> dict[str, LeftOut]:
    """The grants whose fault it is. Never a deny: without it more would be granted than somebody wanted."""
    found = [(grant, [one for one in problems if one.where == grant.origin]) for grant in grants if grant.effect is Effect.ALLOW]
    return {
        grant.id: LeftOut(
            grant, "; ".join(one.message for one in faults), "; ".join(one.help for one in faults if one.help) or None
        )
        for grant, faults in found
        if faults
    }


def _narrowed(warnings: Iterable[str]) -> tuple[Problem, ...]:
    """A document may ask for more than the ceiling gives, and is told so; a grant that gave less than it says would deceive."""
    told = [text.partition(": ") for text in warnings]
    return tuple(Problem(origin, "", said, "grant what the ceiling allows") for origin, _, said in told if "the ceiling" in said)


def _compile_all(
    around: Around, name: str, digest: Digest, accepted: Accepted, grants: tuple[Grant, ...], now: float
) -> Effective:
    usable = tuple(grant for grant in grants if grant.holds(now))
    compiled = _compile(around, name, digest, with_grants(accepted.document, usable, now), accepted)
    for folder in compiled.own_folders:
        private_folder(Path(folder))
    redactor = Redactor(secret_values(compiled.template, around.environment))
    spent = tuple(grant for grant in grants if grant not in usable)
    return Effective(
        accepted,
        usable,
        compiled.template,
        redactor,
        compiled.warnings,
        compiled.notes,
        spent=spent,
        secrets=named_by(compiled.template),
    )


def kept_by(
    around: Around, name: str, digest: Digest, effective: Effective, begun_under: Collection[str], now: float
) -> WasiTemplate:
    """What a call may still hold that began under these grants: one that is used up was not so for this call.

    For any other call it is. Raises as `compile_effective` does.
    """
    own = tuple(replace(grant, max_uses=None) for grant in effective.spent if grant.id in begun_under)
    if not own:
        return effective.template
    document = with_grants(effective.accepted.document, (*effective.grants, *own), now)
    return _compile(around, name, digest, document, effective.accepted).template


def deny_all(accepted: Accepted, digest: Digest, error: SandboxError) -> Effective:
    """What holds where the document and its grants cannot be compiled any more: nothing."""
    return replace(_empty(accepted, digest), problems=told_one_by_one(error))


def _empty(accepted: Accepted, digest: Digest) -> Effective:
    return Effective(accepted, (), WasiTemplate(component=digest, generation="deny-all"), Redactor())


def secret_values(template: WasiTemplate, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The names and values that the guest is given and no record may hold."""
    return tuple(pair for pair in EnvironmentRules(template.environment).variables(environment) if telling(pair[0]))


def _compile(around: Around, name: str, digest: Digest, document: PolicyDocument, accepted: Accepted) -> CompiledPolicy:
    around.home.data(name)  # a component that something was accepted for has its folder
    return around.cache.compile(document, digest=digest, name=name, ceiling=around.ceiling, **around.place(name, accepted.path))


CEILING_REFUSES = "what this host allows at most does not include it: whoever runs this host would have to widen the ceiling"
HOST_REFUSES = "no grant can give it on this host: it is the host's own, or leads to where no policy may reach"


def why_not_granted(
    around: Around, name: str, digest: Digest, effective: Effective, kind: GrantKind, entry: Mapping[str, Any]
) -> str | None:
    """Why an allow of this entry could not hold here, whatever else is granted; None where it could.

    For whoever is told how to permit something, a client too: it names no path. Cheap: of the document nothing is compiled.
    """
    if effective.problems:
        return f"nothing is granted while its policy cannot hold here: `sandbox policy get {name}` shows why"
    accepted = effective.accepted
    grant = Grant("asked", name, digest, kind, entry, who="", created_at=0.0)
    alone = with_grants(PolicyDocument(version="2.0"), (grant,), 0.0)
    if not _refuses(around, name, digest, alone, accepted, around.ceiling):
        return None
    return HOST_REFUSES if _refuses(around, name, digest, alone, accepted, None) else CEILING_REFUSES


def _refuses(
    around: Around, name: str, digest: Digest, alone: PolicyDocument, accepted: Accepted, ceiling: PolicyDocument | None
) -> bool:
    try:
        # Not through the cache: what was denied once is no document that comes again.
        compiled = compile_template(alone, digest=digest, name=name, ceiling=ceiling, **around.place(name, accepted.path))
    except PolicyError:
        return True
    return bool(_narrowed(compiled.warnings))


def kind_of(path: str) -> Kind:
    """What lies at a path of the host now, as compiling a policy asks."""
    found = Path(path)
    return "folder" if found.is_dir() else "file" if found.exists() else "absent"
