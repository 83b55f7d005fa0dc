"""What holds for a component now: the accepted document, the grants, the ceiling, compiled.

Decides which of its grants count for the next call, and which templates a running call may keep: a grant that is used up gives
nothing to the next call but takes nothing from a running one, an ended or expired one takes it from both.

Rules: what cannot be compiled (a link that now leads elsewhere, a lowered ceiling) gives nothing at all, and says why; the
home's own folders are never granted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbox.accepted import Accepted
from sandbox.audit import Redactor
from sandbox.audit.folder import private_folder
from sandbox.audit.patterns import telling
from sandbox.errors import SandboxError
from sandbox.policy.grants import Grant, with_grants
from sandbox.policy.models import PolicyDocument
from sandbox.state.home import Home
from sandbox.template.cache import TemplateCache
from sandbox.template.compile import CompiledPolicy, Note
from sandbox.template.environment import EnvironmentRules
from sandbox.template.place import Kind
from sandbox.template.template import WasiTemplate
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class Around:
    """What is the same for every component of a host: the home, the ceiling, the host's environment."""

    home: Home
    ceiling: PolicyDocument | None
    environment: Mapping[str, str] = field(repr=False)
    cache: TemplateCache = field(default_factory=lambda: TemplateCache(time.perf_counter))


@dataclass(frozen=True, slots=True)
class Effective:
    """`template` is the next call's; `kept` is what a running call may still hold; `problems` say why both are empty."""

    accepted: Accepted
    grants: tuple[Grant, ...]
    template: WasiTemplate
    kept: WasiTemplate
    redactor: Redactor
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def counted(self) -> tuple[str, ...]:
        """The grants of which a call takes one use."""
        return tuple(grant.id for grant in self.grants if grant.max_uses is not None)


def compile_effective(
    around: Around, name: str, digest: Digest, accepted: Accepted, grants: tuple[Grant, ...], now: float
) -> Effective:
    """Compile; raises PolicyError with every problem. `grants` are those that have not ended, used up or not."""
    usable = tuple(grant for grant in grants if grant.holds(now))
    compiled = _compile(around, name, digest, with_grants(accepted.document, usable, now), accepted)
    kept = compiled.template
    if len(usable) != len(grants):
        unspent = tuple(replace(grant, max_uses=None) for grant in grants)
        kept = _compile(around, name, digest, with_grants(accepted.document, unspent, now), accepted).template
    for folder in compiled.own_folders:
        private_folder(Path(folder))
    redactor = Redactor(secret_values(compiled.template, around.environment))
    return Effective(accepted, usable, compiled.template, kept, redactor, compiled.warnings, compiled.notes)


def deny_all(accepted: Accepted, digest: Digest, error: SandboxError) -> Effective:
    """What holds where the document and its grants cannot be compiled any more: nothing."""
    empty = WasiTemplate(component=digest, generation="deny-all")
    return Effective(accepted, (), empty, empty, Redactor(), problems=tuple(str(error).splitlines()))


def secret_values(template: WasiTemplate, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The names and values that the guest is given and no record may hold."""
    return tuple(pair for pair in EnvironmentRules(template.environment).variables(environment) if telling(pair[0]))


def _compile(around: Around, name: str, digest: Digest, document: PolicyDocument, accepted: Accepted) -> CompiledPolicy:
    return around.cache.compile(
        document,
        digest=digest,
        name=name,
        ceiling=around.ceiling,
        data_folder=str(around.home.data(name)),
        home=str(Path.home()),
        host_environment=around.environment,
        protected=(*around.home.own, *((os.path.realpath(accepted.path),) if accepted.path else ())),
        resolve=os.path.realpath,
        kind=_kind,
    )


def _kind(path: str) -> Kind:
    found = Path(path)
    return "folder" if found.is_dir() else "file" if found.exists() else "absent"
