"""One admission document with another one below it.

Rules: lists add up; entries by name and single words are the nearer document's; a rule takes over the one of its name. What
denies below still denies, for deny wins: a document is not looser than what it extends, where it takes no rule over.
"""

from __future__ import annotations

from typing import Any

from sandbox.admission.document.models import AdmissionDocument, Approvals, Rule, Session
from sandbox.config.spending import BudgetSection, Prices


def over(base: AdmissionDocument, own: AdmissionDocument) -> AdmissionDocument:
    """`own` with `base` below it."""
    return AdmissionDocument.model_construct(
        version=own.version,
        description=own.description,
        template=own.template or base.template,
        extends=(),  # it is in it
        roles={**base.roles, **own.roles},
        assignments={**base.assignments, **own.assignments},
        scopes={**base.scopes, **own.scopes},
        requires=(*base.requires, *own.requires),
        allowed_actions=_both(base.allowed_actions, own.allowed_actions),
        blocked_actions=(*base.blocked_actions, *own.blocked_actions),
        actions={**base.actions, **own.actions},
        rules=_rules(base, own),
        approvals=Approvals.model_construct(
            require=(*base.approvals.require, *own.approvals.require),
            exceptions=(*base.approvals.exceptions, *own.approvals.exceptions),
        ),
        content=(*base.content, *own.content),
        session=Session.model_construct(
            labels={**base.session.labels, **own.session.labels},
            never_together=(*base.session.never_together, *own.session.never_together),
        ),
        signals=base.signals.model_copy(update={name: said for name, said in own.signals if said is not None}),
        rates=(*base.rates, *own.rates),
        budgets=_budgets(base.budgets, own.budgets),
        prices=_prices(base.prices, own.prices),
    )


def _both(base: tuple[str, ...] | None, own: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if base is None and own is None else (*(base or ()), *(own or ()))


def _rules(base: AdmissionDocument, own: AdmissionDocument) -> tuple[Rule, ...]:
    mine = {rule.name: rule for rule in own.rules}
    taken = tuple(mine.pop(rule.name, rule) for rule in base.rules)
    return (*taken, *mine.values())


def _budgets(base: BudgetSection, own: BudgetSection) -> BudgetSection:
    single = ("all", "default_user", "default_tenant", "default_component", "circuit_breaker")
    named = ("users", "tenants", "components", "runs")
    told: dict[str, Any] = {name: getattr(own, name) or getattr(base, name) for name in single}
    told |= {name: {**getattr(base, name), **getattr(own, name)} for name in named}
    return own.model_copy(update=told)


def _prices(base: Prices, own: Prices) -> Prices:
    return Prices.model_construct(
        per_call={**own.per_call, **{name: price for name, price in base.per_call.items() if name not in own.per_call}},
        cpu_second=base.cpu_second if own.cpu_second is None else own.cpu_second,
        models={**base.models, **own.models},
    )
