"""The resolved, immutable WASI state of one component: what a call of it may touch.

Values only: `sandbox.template.compile` makes them, the gates and the gateway judge by them. `WasiTemplate()` is the
empty sandbox. A capability that no rule names is absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

from sandbox.policy.effect import Effect as Effect
from sandbox.policy.http_limits import HttpLimits as HttpLimits
from sandbox.wit.types import Digest


class Access(IntFlag):
    """What may be done with a path."""

    NONE = 0
    READ = 1
    WRITE = 2
    CREATE = 4
    DELETE = 8
    ALL = 15

    @property
    def words(self) -> tuple[str, ...]:
        """The names as a policy writes them, in its order: `("read", "write")`."""
        return tuple(word for word, bit in _WORDS if bit in self)


_WORDS = (("read", Access.READ), ("write", Access.WRITE), ("create", Access.CREATE), ("delete", Access.DELETE))


@dataclass(frozen=True, slots=True)
class Preopen:
    """A host directory the guest may open, and the name it sees."""

    host_path: str
    guest_path: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class FileRule:
    """One storage entry: a normalised absolute host path or glob, and what it allows, asks about or denies.

    In `pattern`, `*` and `?` stay within one name, `**` is any depth, `{a,b}` and `[a-z]` choose; `/x/**` is `/x` and all
    below it. `origin` is the policy line (`policy.yaml:7:9`) or grant id that it comes from. The sizes, of one file and of all
    that the rule matches, are of an allow; None where nobody wrote one. What was `granted`, a person gave while the component
    was in use: an ask does not ask about it again.
    """

    effect: Effect
    pattern: str
    access: Access
    origin: str
    max_file_bytes: int | None = None
    max_total_bytes: int | None = None
    granted: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """What the gateway adds to a request: the name of a secret, a header, and its value with `{secret}` for the secret's."""

    secret: str
    header: str
    format: str


@dataclass(frozen=True, slots=True)
class NetworkRule:
    """One network entry; exactly one of `host` (exact, `*.suffix` or `*`) and `cidr` is given.

    `ports` are inclusive ranges, None for any; `methods` upper case, None for any; `paths` globs on the decoded,
    dot-free path, None for any. `limits` are the line's own and those of the ceilings' lines above it: each of them holds.
    """

    effect: Effect
    host: str | None
    cidr: str | None
    ports: tuple[tuple[int, int], ...] | None
    protocols: tuple[str, ...]
    methods: tuple[str, ...] | None
    paths: tuple[str, ...] | None
    origin: str
    credential: Credential | None = None
    limits: tuple[HttpLimits, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentRule:
    """One environment entry: a name or pattern; `value` is the literal, `secret` a secret's name, else the host's own."""

    effect: Effect
    key: str
    value: str | None
    origin: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use; bytes, milliseconds, counts. The defaults are POLICY's "limits that nobody wrote".

    `origins` names the policy line of each limit that somebody wrote, by field name.
    """

    memory_bytes: int = 256 << 20
    cpu_time_ms: int = 10_000
    wall_time_ms: int = 30_000
    fuel: int | None = None
    output_bytes: int = 1 << 20
    stdio_bytes: int = 64 << 10
    open_files: int = 64
    concurrency: int = 4
    file_ops: int = 5_000
    """Calls through the filesystem gate in a second."""
    cpu_share: int | None = None
    """Thousandths of a core while it runs; None for all that there is."""
    origins: tuple[tuple[str, str], ...] = ()

    def origin(self, name: str) -> str:
        """The policy line behind the limit `name` (a field of this class), or `default`."""
        return dict(self.origins).get(name, "default")


@dataclass(frozen=True, slots=True)
class KeyValueRule:
    """That a component may keep values between its calls, how many bytes in all, and the line that says so."""

    max_bytes: int
    origin: str


@dataclass(frozen=True, slots=True)
class WasiTemplate:
    """All that a call may touch. Without arguments, the empty sandbox:

    no directory, no file; no network of any kind; no environment variable; nothing kept; no argument, an empty standard input;
    standard output and error kept only for the record; clocks and randomness; the default limits.
    """

    component: Digest = Digest("")  # noqa: RUF009 - a NewType is no call
    tenant: str = "local"
    preopens: tuple[Preopen, ...] = ()
    files: tuple[FileRule, ...] = ()
    network: tuple[NetworkRule, ...] = ()
    environment: tuple[EnvironmentRule, ...] = ()
    denied_environment: tuple[tuple[str, str], ...] = ()
    """Variables that the document asks for and that the ceiling or a deny takes away, each with the line that does."""
    limits: Limits = field(default_factory=Limits)
    generation: str = ""
    """Digest of document, ceiling and grants that it was compiled from."""
    keyvalue: KeyValueRule | None = None
    """What the component may keep between its calls; None for nothing."""
