"""A grant: one allow or deny entry that a person added at runtime, as an object.

The value only; `with_grants` makes a document of a document and the grants that hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.template.template import Effect
from sandbox.wit.types import Digest

GrantKind = Literal["storage", "network", "environment", "resource"]


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry for one component's digest: `entry` is the policy entry as plain data; times in seconds since 1970.

    `max_uses` and `uses` count calls. Another component under the same name has none of it.
    """

    id: str
    component_name: str
    digest: Digest
    kind: GrantKind
    entry: Mapping[str, Any] = field(hash=False)
    effect: Effect = Effect.ALLOW
    who: str = "local"
    why: str | None = None
    created_at: float = 0.0
    expires_at: float | None = None
    max_uses: int | None = None
    uses: int = 0

    def holds(self, now: float) -> bool:
        """Whether it still holds at `now`: neither expired nor used up."""
        return (self.expires_at is None or now < self.expires_at) and (self.max_uses is None or self.uses < self.max_uses)
