"""What counting goes by: the budgets, rates and prices in force, and what a document's conditions and labels need counted.

A value: when a document changes, another one takes its place whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.admission.request import CallRequest
from sandbox.admission.spending.prices import PriceList
from sandbox.admission.spending.rates import Actions, own_actions
from sandbox.admission.words import Template
from sandbox.config.spending import Budget, BudgetSection, CircuitBreaker, Rate

if TYPE_CHECKING:
    from sandbox.admission.sections.ruleset import Ruleset


def no_labels(_: CallRequest) -> tuple[str, ...]:
    """Of a document without labels."""
    return ()


@dataclass(frozen=True, slots=True)
class Terms:
    """`maxima` are the operator's budgets (`sandbox.yaml`), `budgets` the document's.

    `was_set` are those that an operator set while the host runs, by whose they are. `counts_usage` keeps what `usage.*` reads,
    `keeps_ledger` what was spent on what. `actions_of` says what a call does, for the rates of an action. `labels` are
    those of the document, `labels_of` those that a call brings.
    """

    maxima: BudgetSection | None = None
    budgets: BudgetSection | None = None
    rates: tuple[Rate, ...] = ()
    prices: PriceList = field(default_factory=PriceList)
    was_set: Mapping[str, Budget] = field(default_factory=dict)
    counts_usage: bool = False
    keeps_ledger: bool = True
    actions_of: Actions = own_actions
    labels: tuple[str, ...] = ()
    labels_of: Callable[[CallRequest], tuple[str, ...]] = no_labels
    never_together: tuple[tuple[str, ...], ...] = ()
    blocks: bool = True
    """Whether the document refuses anything: in audit mode it only warns."""

    @property
    def breaker(self) -> CircuitBreaker | None:
        """The circuit breaker: the operator's, else the document's."""
        sections = (section for section in (self.maxima, self.budgets if self.blocks else None) if section is not None)
        return next((section.circuit_breaker for section in sections if section.circuit_breaker is not None), None)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to count at all."""
        sections = (section for section in (self.maxima, self.budgets) if section is not None)
        silent = all(section.says_nothing for section in sections) and not self.rates and not self.was_set
        return silent and not self.prices.says_something and not self.counts_usage


def terms_of(maxima: BudgetSection | None, ruleset: Ruleset | None, was_set: Mapping[str, Budget]) -> Terms:
    """The terms under the operator's budgets, an admission document in force, and what was set."""
    if ruleset is None:
        return Terms(maxima=maxima, was_set=was_set)
    document, together = ruleset.document, ruleset.together
    return Terms(
        maxima=maxima,
        budgets=document.budgets,
        rates=document.rates,
        prices=PriceList(document.prices),
        was_set=was_set,
        counts_usage=ruleset.needs_usage,
        actions_of=ruleset.actions_of,
        labels=tuple(document.session.labels),
        labels_of=lambda request: tuple(together.labels_of(request)),
        never_together=tuple(tuple(sorted(apart)) for apart in together.apart),
        blocks=document.default is not Template.AUDIT,
    )
