"""One store's state: what a gate knows of the call that runs in it.

Decides nothing. The gates keep what they need in it (`files`, `http`), each under its own name.

Rules: reports are deduplicated, at most `REPORTS` a call; counting goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.host.gates.native.passthrough import Native

if TYPE_CHECKING:
    from wasmtime import Store

    from sandbox.errors import Code
    from sandbox.host.gates.bound import Bound
    from sandbox.host.gates.native.passthrough import Passthrough
    from sandbox.host.outcome import Denial

REPORTS = 100


@dataclass(slots=True)
class Call:
    """A store with its guest, and what has happened in it."""

    store: Store
    context: int
    passthrough: Passthrough
    tunnels: Passthrough
    bound: Bound
    files: Any = None
    """The filesystem gate's records, once a guest has touched it."""
    http: Any = None
    """The HTTP gate's own state."""
    sockets: Any = None
    """The sockets gate's own state."""
    kept: Any = None
    """The key-value gate's own state."""
    requests: int = 0
    """How many requests the gates let through, a socket's among them."""
    refused: dict[tuple[Code, str], int] = field(default_factory=dict)
    """How many refusals there were, repeated ones too, by their code and the resource that they name."""
    fault: BaseException | None = None
    """What a host function failed with: the call's result is void."""
    _native: Native | None = None
    _tunnel: Native | None = None
    _reported: set[tuple[Any, ...]] = field(default_factory=set)

    @property
    def denials(self) -> int:
        """How many refusals there were, repeated ones too."""
        return sum(self.refused.values())

    @property
    def native(self) -> Native:
        """Wasmtime's own implementation, in this store."""
        if self._native is None:
            self._native = Native(self.passthrough, self.store, self.context)
        return self._native

    @property
    def tunnel(self) -> Native:
        """What of it the tunnels of sockets are made of, in this store."""
        if self._tunnel is None:
            self._tunnel = Native(self.tunnels, self.store, self.context)
        return self._tunnel

    def report(self, denial: Denial) -> None:
        """Tell the host of a refusal, once for each thing that was tried."""
        kind = denial.code, denial.target.get("resource", "")
        self.refused[kind] = self.refused.get(kind, 0) + 1
        key = (denial.code, *sorted(denial.target.items()))
        if key in self._reported or len(self._reported) >= REPORTS:
            return
        self._reported.add(key)
        self.bound.report(denial)


Report = Callable[["Denial"], None]
