"""What a change of policy did: the values that a revoke, an update or an expiry hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoppedCall:
    """A running call that a change stopped, and how many ms after the order it was dead.

    With `connections_only` it lost nothing but hosts: its connections to them are reset, it goes on without them.
    """

    call_id: str
    component: str
    tool: str
    ms: float
    connections_only: bool = False

    def to_json(self) -> dict[str, Any]:
        """The stopped call as a JSON object."""
        told = {"call_id": self.call_id, "component": self.component, "tool": self.tool, "ms": round(self.ms, 3)}
        return {**told, "connections_only": self.connections_only}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> StoppedCall:
        """The stopped call that `to_json` spelled."""
        return cls(
            str(told["call_id"]), str(told["component"]), str(told["tool"]), float(told["ms"]), bool(told.get("connections_only"))
        )


@dataclass(frozen=True, slots=True)
class Held:
    """Whether a server gives what a grant says: None where it is not concerned; `why` says why it does not."""

    holds: bool | None = None
    why: str | None = None

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Held:
        """What a server said; nothing, where it said nothing."""
        holds, why = told.get("holds"), told.get("why")
        return cls(holds if isinstance(holds, bool) else None, None if why is None else str(why))


@dataclass(frozen=True, slots=True)
class ServerReceipt:
    """What another running server did about the change; `error` where it did not confirm it. `held` is of a new grant."""

    server: str
    stopped: tuple[StoppedCall, ...] = ()
    error: str | None = None
    held: Held = Held()

    def to_json(self) -> dict[str, Any]:
        """The server's answer as a JSON object."""
        return {"server": self.server, "stopped": [call.to_json() for call in self.stopped], "error": self.error}


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a change holds: since which generation, which running calls it stopped here, and what other servers did."""

    component: str
    generation: int
    stopped: tuple[StoppedCall, ...] = ()
    servers: tuple[ServerReceipt, ...] = ()

    @property
    def every_stop(self) -> tuple[StoppedCall, ...]:
        """The calls that were stopped, here and in other servers."""
        return (*self.stopped, *(call for server in self.servers for call in server.stopped))

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """The running servers that did not confirm: the change holds there before their next call, which looks at the store."""
        return tuple(server.server for server in self.servers if server.error is not None)

    def to_json(self) -> dict[str, Any]:
        """The receipt as a JSON object."""
        return {
            "component": self.component,
            "generation": self.generation,
            "stopped": [call.to_json() for call in self.stopped],
            "servers": [server.to_json() for server in self.servers],
        }
