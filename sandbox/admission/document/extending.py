"""One admission document with another one below it.

Rules: lists add up, and actions that are allowed have to be allowed by both; kinds of action, labels, the template, signals and
how the record is kept become the stricter of both; an exception from approvals is none from what the other document requires.
Roles, scopes, budgets, prices and times by name are the nearer document's: they say who may do what, how much and how long. A
rule takes over the one of its name.

So what denies or asks below still does, where no rule is taken over; what is written in order to loosen it is refused by name
(`loosened`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.admission.decision import Ruling
from sandbox.admission.document.models import ActionKind, AdmissionDocument, Approvals, Kept, Label, Rule, Session, Signals
from sandbox.admission.sections.vote import sterner, strictest
from sandbox.admission.words import LogLevel, Template
from sandbox.config.spending import BudgetSection, Prices
from sandbox.policy.globs import NotExpressibleError, name_intersect
from sandbox.policy.refusal import Refusal, quoted
from sandbox.policy.tree import Path

_STRICTER = (Template.STRICT, Template.PERMISSIVE, Template.AUDIT)
"""In audit mode nothing is blocked at all."""


def over(base: AdmissionDocument, own: AdmissionDocument) -> AdmissionDocument:
    """`own` with `base` below it."""
    return AdmissionDocument.model_construct(
        version=own.version,
        description=own.description,
        template=_template(base, own),
        extends=(),  # it is in it
        roles={**base.roles, **own.roles},
        assignments={**base.assignments, **own.assignments},
        scopes={**base.scopes, **own.scopes},
        requires=(*base.requires, *own.requires),
        allowed_actions=_both(base.allowed_actions, own.allowed_actions),
        blocked_actions=(*base.blocked_actions, *own.blocked_actions),
        actions=_kinds(base.actions, own.actions),
        rules=_rules(base, own),
        approvals=Approvals.model_construct(
            require=(*base.approvals.require, *own.approvals.require),
            four_eyes=(*base.approvals.four_eyes, *own.approvals.four_eyes),
            exceptions=(*_excepted(base.approvals, own.approvals), *_excepted(own.approvals, base.approvals)),
        ),
        content=(*base.content, *own.content),
        session=Session.model_construct(
            labels=_labels(base.session.labels, own.session.labels),
            never_together=(*base.session.never_together, *own.session.never_together),
        ),
        signals=_signals(base.signals, own.signals),
        rates=(*base.rates, *own.rates),
        budgets=_budgets(base.budgets, own.budgets),
        prices=_prices(base.prices, own.prices),
        audit=_kept(base.audit, own.audit),
    )


def loosened(base: AdmissionDocument, own: AdmissionDocument) -> Iterator[tuple[Path, Refusal]]:
    """What `own` says in order to loosen `base`, which it extends, each with its place in `own`."""
    if own.template is not None and base.template is not None and own.template is not _template(base, own):
        told = f"{quoted(own.template.value)} is looser than {quoted(base.template.value)}, the template of what it extends"
        yield ("template",), Refusal(told, "take it out, or write what you need of that document instead of extending it")
    for at, action in enumerate(own.allowed_actions or ()):
        if base.allowed_actions is not None and action not in base.allowed_actions:
            told = f"{quoted(action)} is not allowed by what this document extends"
            yield ("allowed_actions", at), Refusal(told, f"write some of {', '.join(base.allowed_actions)}")
    for name, kind in own.actions.items():
        if name in base.actions and kind.default not in (None, (kept := _kind(base.actions[name], kind).default)):
            told = f"the action {quoted(name)} has the answer {quoted(kept or '')} in what this document extends"
            yield ("actions", name, "default"), Refusal(told, "take it out, or give another name to the action")
    for at, tool in enumerate(own.approvals.exceptions):
        if tool not in _excepted(own.approvals, base.approvals):
            told = f"calls of {quoted(tool)} need an approval by what this document extends"
            yield ("approvals", "except", at), Refusal(told, "take it out")


def _template(base: AdmissionDocument, own: AdmissionDocument) -> Template | None:
    said = [each for each in (base.template, own.template) if each is not None]
    return min(said, key=_STRICTER.index, default=None)


def _both(base: tuple[str, ...] | None, own: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if base is None or own is None:
        return base if own is None else own
    return tuple(action for action in own if action in base)


def _kinds(base: dict[str, ActionKind], own: dict[str, ActionKind]) -> dict[str, ActionKind]:
    return {**base, **{name: _kind(base[name], kind) if name in base else kind for name, kind in own.items()}}


def _kind(base: ActionKind, own: ActionKind) -> ActionKind:
    said: list[Ruling] = [each for each in (base.default, own.default) if each is not None]
    return ActionKind.model_construct(tools=_all(base.tools, own.tools), default=strictest(said) if said else None)


def _excepted(of: Approvals, other: Approvals) -> tuple[str, ...]:
    """The exceptions of one document that are none from what the other requires, unless that makes them too."""
    return tuple(
        tool for tool in of.exceptions if tool in other.exceptions or not any(_meet(tool, needs) for needs in other.require)
    )


def _meet(one: str, other: str) -> bool:
    try:
        return name_intersect(one, other) is not None
    except NotExpressibleError:
        return True


def _labels(base: dict[str, Label], own: dict[str, Label]) -> dict[str, Label]:
    return {**base, **{name: _label(base[name], label) if name in base else label for name, label in own.items()}}


def _label(base: Label, own: Label) -> Label:
    return Label.model_construct(components=_all(base.components, own.components), tools=_all(base.tools, own.tools))


def _all(base: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*base, *own)))


def _signals(base: Signals, own: Signals) -> Signals:
    both = (base, own)
    return Signals.model_construct(
        on_violation=sterner(each.on_violation for each in both),
        on_warning=sterner(each.on_warning for each in both),
        on_rate_limit=sterner(each.on_rate_limit for each in both),
        suspend_timeout=own.suspend_timeout or base.suspend_timeout,
    )


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


def _kept(base: Kept, own: Kept) -> Kept:
    """More detail, the longer stay, encrypted where one of them says so."""
    said = [each.level for each in (base, own) if each.level is not None]
    stays = [each for each in (base, own) if each.retention_s is not None]
    return Kept.model_construct(
        level=max(said, key=tuple(LogLevel).index, default=None),
        retention=max(stays, key=lambda each: each.retention_s or 0).retention if stays else None,
        encrypt=base.encrypt or own.encrypt,
        destination=own.destination or base.destination,
    )


def _prices(base: Prices, own: Prices) -> Prices:
    return Prices.model_construct(
        per_call={**own.per_call, **{name: price for name, price in base.per_call.items() if name not in own.per_call}},
        cpu_second=base.cpu_second if own.cpu_second is None else own.cpu_second,
        models={**base.models, **own.models},
    )
