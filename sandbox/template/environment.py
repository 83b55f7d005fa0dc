"""Environment lines → rules inside the ceiling, and rules → the variables of one call.

A name that an allow names exactly with a value has that value; else the host's own, where the host has one; a deny takes a
name away. Values are resolved at the call, and only those that the document itself writes are in a template.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sandbox.policy.globs import NotExpressibleError, name_intersect, name_matcher
from sandbox.policy.models import Environment
from sandbox.policy.refusal import Refusal, quoted
from sandbox.template.report import Report
from sandbox.template.template import Effect, EnvironmentRule

_NO_SECRETS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class EnvironmentDecision:
    """Whether the guest sees a variable, the line that decided, and the value or the secret's name where a line gives one."""

    allowed: bool
    origin: str | None
    value: str | None = None
    secret: str | None = None


class EnvironmentRules:
    """The environment rules of a template, exact names apart from patterns."""

    def __init__(self, rules: Iterable[EnvironmentRule]) -> None:
        self._exact: dict[tuple[Effect, str], EnvironmentRule] = {}
        self._patterns: list[EnvironmentRule] = []
        for rule in rules:
            if "*" in rule.key or "?" in rule.key:
                self._patterns.append(rule)
            else:
                self._exact.setdefault((rule.effect, rule.key), rule)

    def decide(self, name: str) -> EnvironmentDecision:
        """Whether the guest sees the variable, and with which value if not the host's."""
        deny = self._find(Effect.DENY, name)
        if deny is not None:
            return EnvironmentDecision(False, deny.origin)
        allow = self._find(Effect.ALLOW, name)
        if allow is None:
            return EnvironmentDecision(False, None)
        return EnvironmentDecision(True, allow.origin, allow.value, allow.secret)

    def variables(self, host: Mapping[str, str], secrets: Mapping[str, str] = _NO_SECRETS) -> tuple[tuple[str, str], ...]:
        """Names and values of one call, sorted; what is no UTF-8 on the host is left out, for WASI has text only.

        A variable whose secret is not among `secrets` is left out too: the host's own value is never in its place.
        """
        named = {key for effect, key in self._exact if effect is Effect.ALLOW}
        found: dict[str, str] = {}
        for name in named | set(host):
            decision = self.decide(name)
            value = secrets.get(decision.secret) if decision.secret is not None else decision.value
            if value is None and decision.secret is None:
                value = host.get(name)
            if decision.allowed and value is not None and _is_text(name) and _is_text(value):
                found[name] = value
        return tuple(sorted(found.items()))

    def _find(self, effect: Effect, name: str) -> EnvironmentRule | None:
        exact = self._exact.get((effect, name))
        if exact is not None:
            return exact
        return next((rule for rule in self._patterns if rule.effect is effect and name_matcher(rule.key)(name)), None)


def compile_environment(document: Environment, ceilings: Iterable[Environment], report: Report) -> tuple[EnvironmentRule, ...]:
    """Compile one document's environment inside every ceiling; what is wrong goes into `report`."""
    denies = [EnvironmentRule(Effect.DENY, entry.key, None, entry.origin) for entry in document.deny]
    allows = [EnvironmentRule(Effect.ALLOW, entry.key, entry.value, entry.origin, entry.secret) for entry in document.allow]
    for ceiling in ceilings:
        denies += [EnvironmentRule(Effect.DENY, entry.key, None, entry.origin) for entry in ceiling.deny]
        allows = [rule for allow in allows for rule in _inside_ceiling(allow, ceiling, report)]
    return (*allows, *denies)


def denied_variables(
    document: Environment, rules: tuple[EnvironmentRule, ...], has_ceiling: bool, host: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Variables that the document asks for and the guest does not see, with the line that takes each away.

    WASI hands the environment over whole, so this is where such a denial shows. A pattern asks for what the host has.
    """
    judge, found = EnvironmentRules(rules), {}
    for entry in document.allow:
        wanted = name_matcher(entry.key)
        names = [name for name in host if wanted(name)] if "*" in entry.key or "?" in entry.key else [entry.key]
        for name in names:
            decision = judge.decide(name)
            if not decision.allowed:
                found[name] = decision.origin or ("the ceiling" if has_ceiling else entry.origin)
    return tuple(sorted(found.items()))


def _inside_ceiling(entry: EnvironmentRule, ceiling: Environment, report: Report) -> Iterator[EnvironmentRule]:
    """What the line has in common with the ceiling. A name wholly outside is no error: it shows as denied at the call."""
    common: dict[EnvironmentRule, None] = {}
    for most in ceiling.allow:
        try:
            key = name_intersect(entry.key, most.key)
        except NotExpressibleError as error:
            message = f"{quoted(entry.key)} overlaps the ceiling in a way that no rule can say: {error}"
            report.refuse(entry.origin, "permissions.environment", Refusal(message, "name the variables"))
            return
        # A ceiling that writes a value or a secret allows that one and no other, the host's own value included.
        if key is not None and (most.value, most.secret) in ((None, None), (entry.value, entry.secret)):
            common[EnvironmentRule(Effect.ALLOW, key, entry.value, entry.origin, entry.secret)] = None
    if not common:
        report.warn(entry.origin, f"{quoted(entry.key)} is outside the ceiling: the guest will not see it")
    yield from common


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
