"""The answer to who asks before acting. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NETWORK = "network_access"
FILES = "delete_files"


@dataclass(frozen=True, slots=True)
class Checked:
    """What would be decided. One that needs an approval is not allowed yet."""

    allowed: bool
    reason: str
    requires_approval: bool = False
    rules: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "allowed": self.allowed,
            "reason": self.reason,
            "requires_approval": self.requires_approval,
            "rules": list(self.rules),
        }
