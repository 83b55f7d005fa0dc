"""What has happened already, as far as a decision may look at it: the `usage.*` fields and the session's labels.

Decides nothing and reads no store: whoever keeps the counts (`sandbox.state`) fills one in. Rule: None is "not known", which in a
condition is "cannot tell", never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """The counts of the request's subject and session just before it; amounts are in the currency of `prices`."""

    requests_last_minute: int | None = None
    requests_last_hour: int | None = None
    requests_today: int | None = None
    spend_today: Decimal | None = None
    spend_this_month: Decimal | None = None
    tokens_today: int | None = None
    calls_in_session: int | None = None
    spend_in_session: Decimal | None = None
    estimated_cost: Decimal | None = None
    labels: frozenset[str] | None = None


UNKNOWN = Usage()
"""Nothing is known: what a document gets that looks at no usage."""
