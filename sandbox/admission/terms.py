"""What counting goes by: the budgets, rates and prices in force, and what a document's conditions and labels need counted.

A value: when a document changes, another one takes its place whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.admission.budgets import whose_of
from sandbox.admission.prices import PriceList
from sandbox.admission.request import CallRequest
from sandbox.config.spending import BudgetSection, CircuitBreaker, Rate


def no_labels(_: CallRequest) -> tuple[str, ...]:
    """Of a document without labels."""
    return ()


@dataclass(frozen=True, slots=True)
class Terms:
    """`maxima` are the operator's budgets (`sandbox.yaml`), `budgets` the document's.

    With `may_be_set`, budgets that an operator sets while the host runs hold too. `counts_usage` keeps what `usage.*` reads, and
    `keeps_ledger` what was spent on what. `labels` are those of the document, `labels_of` those that a call brings.
    """

    maxima: BudgetSection | None = None
    budgets: BudgetSection | None = None
    rates: tuple[Rate, ...] = ()
    prices: PriceList = field(default_factory=PriceList)
    may_be_set: bool = True
    counts_usage: bool = False
    keeps_ledger: bool = True
    labels: tuple[str, ...] = ()
    labels_of: Callable[[CallRequest], tuple[str, ...]] = no_labels
    never_together: tuple[tuple[str, ...], ...] = ()

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The circuit breaker: the operator's, else the document's."""
        sections = (section for section in (self.maxima, self.budgets) if section is not None)
        return next((section.circuit_breaker for section in sections if section.circuit_breaker is not None), None)

    def whose(self, request: CallRequest) -> tuple[str, ...]:
        """Whose set budgets a request falls under."""
        return tuple(map(str, whose_of(request)))
