"""The policy document, version "2.0": what may be written, and nothing else.

Frozen and strict, as its entries are. Fields hold what the document says in its one spelling; properties give numbers. A
document is made by `sandbox.policy.load`, or by `sandbox.policy.grants` out of one and its grants.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr

from sandbox.policy import units
from sandbox.policy.entries import (
    Entry,
    EnvironmentAllow,
    EnvironmentDeny,
    NetworkAllow,
    NetworkEntry,
    StorageAllow,
    StorageAsk,
    StorageDeny,
    Strict,
)
from sandbox.policy.fields import Concurrency, Count, CpuShare, OpenFiles, Rate, Size, Time, Version


class Storage(Strict):
    """What of the file system a component may touch."""

    allow: Annotated[tuple[StorageAllow, ...], Field(strict=False)] = ()
    ask: Annotated[tuple[StorageAsk, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[StorageDeny, ...], Field(strict=False)] = ()


class Network(Strict):
    """Whom a component may call."""

    allow: Annotated[tuple[NetworkAllow, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[NetworkEntry, ...], Field(strict=False)] = ()


class Environment(Strict):
    """Which variables a component sees."""

    allow: Annotated[tuple[EnvironmentAllow, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[EnvironmentDeny, ...], Field(strict=False)] = ()


class ResourceLimits(Strict):
    """What one call may use; what is left out has the ceiling's or the host's default."""

    memory: Size | None = None
    cpu: CpuShare | None = None
    cpu_time: Time | None = None
    wall_time: Time | None = None
    fuel: Count | None = None
    output: Size | None = None
    stdio: Size | None = None
    open_files: OpenFiles | None = None
    file_ops: Rate | None = None
    concurrency: Concurrency | None = None

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def origin(self, limit: str) -> str:
        """The line or grant behind a limit that somebody wrote."""
        return self._origins[limit]

    def from_lines(self, origins: dict[str, str]) -> Self:
        """These limits, told where each comes from."""
        self._origins = dict(origins)
        return self

    @property
    def written(self) -> dict[str, int]:
        """The limits that somebody wrote, as bytes, milliseconds and counts, by the document's name of each."""
        return {name: _number(name, value) for name, value in self if value is not None}

    @property
    def origins(self) -> dict[str, str]:
        """The line or grant of each limit that somebody wrote."""
        return dict(self._origins)


class Resources(Strict):
    """What one call may use."""

    limits: ResourceLimits = ResourceLimits()


class KeyValue(Entry):
    """That a component may keep values between its calls, and how much in all."""

    max_size: Size

    @property
    def max_bytes(self) -> int:
        """The size in bytes."""
        return units.parse_size(self.max_size)


class State(Strict):
    """What a component may keep."""

    keyvalue: KeyValue | None = None


class Permissions(Strict):
    """All that a document grants: absence is deny."""

    storage: Storage = Storage()
    network: Network = Network()
    environment: Environment = Environment()
    resources: Resources = Resources()
    state: State = State()


class Waiver(Strict):
    """A line that promises what WASI does not have, accepted as a no-op by name."""

    field: str
    origin: str


class PolicyDocument(Strict):
    """A policy: a request when it ships with a component, and what holds once an operator accepted it."""

    version: Version
    description: str = ""
    permissions: Permissions = Permissions()

    _written: Literal["1.0", "2.0"] = PrivateAttr("2.0")
    _waivers: tuple[Waiver, ...] = PrivateAttr(())
    _warnings: tuple[str, ...] = PrivateAttr(())
    _above: tuple[PolicyDocument, ...] = PrivateAttr(())

    def under(self, *above: PolicyDocument) -> PolicyDocument:
        """This document as a ceiling below others: what it gives, every one of them must give too."""
        lower = self.model_copy()
        lower.__dict__.pop("digest", None)  # a copy keeps what was computed of the original
        lower._above = (*self._above, *(each for one in above for each in one.ceilings))
        return lower

    @property
    def ceilings(self) -> tuple[PolicyDocument, ...]:
        """This document and those that it is under, as ceilings: a policy has to be inside each."""
        return (self, *self._above)

    @property
    def written_version(self) -> str:
        """The version that the text was written in; a "1.0" is held as the "2.0" that means the same."""
        return self._written

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """Lines accepted as a no-op, to be shown wherever the policy is."""
        return self._waivers

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and probably not meant, each with its line."""
        return self._warnings

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the meaning and the lines it comes from, 64 hexadecimal digits."""
        meaning = [
            self.model_dump(mode="json", exclude_none=True),
            self._written,
            *(waiver.model_dump() for waiver in self._waivers),
            *(above.digest for above in self._above),
        ]
        origins = [[entry.origin for entry in entries] for _, _, entries in self.sections()]
        text = json.dumps([meaning, origins, self.permissions.resources.limits.origins], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def sections(self) -> tuple[tuple[str, str, tuple[Entry, ...]], ...]:
        """Every list of entries with its section and effect: `("storage", "allow", (…))`."""
        parts = self.permissions
        named = (("storage", parts.storage), ("network", parts.network), ("environment", parts.environment))
        return tuple((name, effect, entries) for name, part in named for effect, entries in part)

    def noted(self, written: Literal["1.0", "2.0"], waivers: tuple[Waiver, ...], warnings: tuple[str, ...]) -> Self:
        """This document, told how it was written and what was waived and warned about."""
        self._written, self._waivers, self._warnings = written, waivers, warnings
        return self


def _number(limit: str, value: int | str) -> int:
    if isinstance(value, int):
        return value
    if limit == "cpu":
        return units.parse_cpu(value)
    if limit == "file_ops":
        return units.parse_rate(value)
    return units.parse_time(value) if limit.endswith("_time") else units.parse_size(value)
