"""What an entry does where it matches."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """Allow, ask or deny. Deny wins over ask, ask over allow; absence is deny."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"
