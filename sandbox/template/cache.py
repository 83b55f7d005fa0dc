"""Parsed documents and compiled templates, kept by the digest of what they were made of.

Bounded: the least recently used goes first. An error is never kept, so a document that was put right is read again. A
template is kept with every path that was looked at for it, and holds only while each still leads where it led: a link that was
swapped makes it anew. The clock is a parameter: time spent on misses is a metric, with hits and misses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from cachetools import LRUCache

from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.telemetry.durations import STEPS_S, Durations
from sandbox.template.compile import CompiledPolicy, Kind, compile_template
from sandbox.wit.types import Digest

_Value = TypeVar("_Value")
DOCUMENTS = 256
TEMPLATES = 1024


def _always(_: object) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class CacheMetrics:
    """How often a cache had the answer, how often not, how long it took to make each, and how many it holds."""

    hits: int
    misses: int
    made: Durations
    size: int

    @property
    def seconds(self) -> float:
        """Spent on what was not there."""
        return self.made.seconds


class Cache(Generic[_Value]):
    """Values by key, bounded in number; safe for several threads, a value may be made twice but never half."""

    def __init__(self, maxsize: int, clock: Callable[[], float]) -> None:
        self._kept: LRUCache[Hashable, _Value] = LRUCache(maxsize)
        self._lock = Lock()
        self._clock = clock
        self._hits = self._misses = 0
        self._took = Durations(STEPS_S)

    def get(self, key: Hashable, make: Callable[[], _Value], still_true: Callable[[_Value], bool] = _always) -> _Value:
        """The value of the key, made where it is not there or no longer true. What `make` raises is raised, and not kept."""
        with self._lock:
            found = self._kept.get(key)
        hit = found is not None and still_true(found)
        with self._lock:
            self._hits, self._misses = self._hits + hit, self._misses + (not hit)
        if found is not None and hit:
            return found
        started = self._clock()
        made = make()
        with self._lock:
            self._took.add(self._clock() - started)
            self._kept[key] = made
        return made

    @property
    def metrics(self) -> CacheMetrics:
        """The counters since the start."""
        with self._lock:
            return CacheMetrics(self._hits, self._misses, self._took, len(self._kept))


class DocumentCache:
    """Parsed documents by the digest of their text, the file it is called by and the waived fields."""

    def __init__(self, clock: Callable[[], float], *, maxsize: int = DOCUMENTS) -> None:
        self._cache: Cache[PolicyDocument] = Cache(maxsize, clock)

    def load(self, text: bytes | str, *, file: str, waive: tuple[str, ...] = ()) -> PolicyDocument:
        """As `load_policy`, raising what it raises."""
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        key = (hashlib.sha256(raw).digest(), file, waive)
        return self._cache.get(key, lambda: load_policy(text, file=file, waive=waive))

    @property
    def metrics(self) -> CacheMetrics:
        """Hits, misses, parse time."""
        return self._cache.metrics


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A compiled policy, and what the disk said while it was made."""

    policy: CompiledPolicy
    resolved: Mapping[str, str]
    kinds: Mapping[str, Kind]


class TemplateCache:
    """Compiled templates by document (grants included), ceiling, component and what of the host they are relative to."""

    def __init__(self, clock: Callable[[], float], *, maxsize: int = TEMPLATES) -> None:
        self._cache: Cache[_Compiled] = Cache(maxsize, clock)

    def compile(
        self,
        document: PolicyDocument,
        *,
        digest: Digest,
        name: str,
        ceiling: PolicyDocument | None = None,
        data_folder: str,
        home: str,
        host_environment: Mapping[str, str],
        protected: tuple[str, ...],
        resolve: Callable[[str], str],
        kind: Callable[[str], Kind] | None = None,
        shared: tuple[str, ...] = (),
    ) -> CompiledPolicy:
        """As `compile_template`, raising what it raises."""

        def make() -> _Compiled:
            resolved, kinds = _Seen(resolve), _Seen(kind) if kind is not None else None
            policy = compile_template(
                document,
                digest=digest,
                name=name,
                ceiling=ceiling,
                data_folder=data_folder,
                home=home,
                host_environment=host_environment,
                protected=protected,
                resolve=resolved,
                kind=kinds,
                shared=shared,
            )
            return _Compiled(policy, resolved.answers, kinds.answers if kinds is not None else {})

        def still_true(compiled: _Compiled) -> bool:
            same_kinds = kind is None or all(kind(path) == found for path, found in compiled.kinds.items())
            return same_kinds and all(resolve(path) == real for path, real in compiled.resolved.items())

        around = (data_folder, home, frozenset(host_environment.items()), protected, kind is None, shared)
        made_of = (document.digest, ceiling.digest if ceiling is not None else None, digest, name)
        return self._cache.get((made_of, around), make, still_true).policy

    @property
    def metrics(self) -> CacheMetrics:
        """Hits, misses, compile time."""
        return self._cache.metrics


class _Seen(Generic[_Value]):
    """A question to the disk that remembers its answers."""

    def __init__(self, ask: Callable[[str], _Value]) -> None:
        self._ask = ask
        self.answers: dict[str, _Value] = {}

    def __call__(self, path: str) -> _Value:
        answer = self.answers[path] = self._ask(path)
        return answer
