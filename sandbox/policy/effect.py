"""What an entry does where it matches."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    """Allow or deny. Deny wins over allow; absence is deny."""

    ALLOW = "allow"
    DENY = "deny"
