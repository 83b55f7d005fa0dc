"""The secrets of one call: what they are now, which of them are missing, and what no record of the call may hold.

Decides nothing about who may use a secret: the template names them. A value is looked up once for a call, when it is admitted;
the same look gives what the host hands on and what the redactor hides, so nothing is given that is not hidden.

Rules: a secret that is not set is a denial that says the command, and the call goes on without it; a store that does not hold
gives no value at all; every secret of the store is hidden in every call's records, whoever was given it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from weakref import WeakKeyDictionary

from sandbox.audit import Redactor
from sandbox.config.proxy import Proxy
from sandbox.errors import Code, HostUnavailable
from sandbox.host.outcome import Denial, Outcome
from sandbox.state.rows import StoredDenial
from sandbox.state.secrets import SecretStore
from sandbox.template.environment import EnvironmentRules
from sandbox.template.template import Effect, WasiTemplate

_LOG = logging.getLogger("sandbox")
_NOTHING: Mapping[str, str] = MappingProxyType({})
LINE = 8
"""A line of a secret of several lines is hidden by itself where it has so many characters."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a template names: each variable with its secret, and every secret."""

    variables: tuple[tuple[str, str], ...] = ()
    secrets: frozenset[str] = frozenset()


def named_by(template: WasiTemplate) -> Named:
    """The secrets that a template names; of a variable that a deny takes away, none."""
    rules = EnvironmentRules(template.environment)
    asked = [(rule.key, rule.secret) for rule in template.environment if rule.secret is not None and rule.effect is Effect.ALLOW]
    variables = tuple((key, secret) for key, secret in asked if rules.decide(key).secret == secret)
    credentials = (rule.credential.secret for rule in template.network if rule.credential is not None)
    return Named(variables, frozenset((*(secret for _, secret in variables), *credentials)))


@dataclass(frozen=True, slots=True)
class InUse:
    """The secrets of one call: `values` for the host, by name, and the `redactor` of all its records."""

    redactor: Redactor
    values: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    missing: tuple[Denial, ...] = ()

    def told(self, outcome: Outcome) -> Outcome:
        """The outcome with the variables that the guest did not get for want of their secret."""
        if not self.missing:
            return outcome
        count = outcome.usage.denials + len(self.missing)
        # First: what a guest failed of is rather what it was refused last.
        allowed, refused = outcome.usage.checks.get("environment", (0, 0))
        checks = {**outcome.usage.checks, "environment": (allowed, refused + len(self.missing))}
        usage = replace(outcome.usage, denials=count, checks=checks)
        return replace(outcome, denials=(*self.missing, *outcome.denials), usage=usage)

    def stored(self, kept: Iterable[StoredDenial]) -> list[StoredDenial]:
        """Denials as they may be kept: what a guest tried with a secret in it is kept without; no grant is made from it."""
        return [replace(one, denial=self._without_secrets(one.denial)) for one in kept]

    def _without_secrets(self, denial: Denial) -> Denial:
        told = {"target": dict(denial.target), "reason": denial.reason, "private": dict(denial.private)}
        redacted = self.redactor.redact(told)
        return replace(denial, **redacted.value) if redacted.hidden else denial


class Secrets:
    """The secrets of a host, looked up call by call."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self._redactors: WeakKeyDictionary[Redactor, tuple[Mapping[str, str], Redactor]] = WeakKeyDictionary()
        self._told = ""

    def of_call(self, named: Named, redactor: Redactor) -> InUse:
        """The secrets of a call whose template names these; `redactor` is what holds without them."""
        why = "is not set"
        try:
            values = self._store.values()
            self._told = ""
        except HostUnavailable as error:
            values, why = _NOTHING, "cannot be read: the secret store does not hold"
            self._tell(error)
        if not values and not named.secrets:
            return InUse(redactor)
        given = {name: values[name] for name in named.secrets if name in values}
        missing = tuple(_missing(key, secret, why) for key, secret in named.variables if secret not in values)
        return InUse(self._hiding(redactor, values), MappingProxyType(given), missing)

    def unset(self, named: Named) -> tuple[str, ...]:
        """What to tell of each secret that a template names and that is not set, with the command."""
        try:
            known = self._store.values() if named.secrets else _NOTHING
        except HostUnavailable as error:
            return (str(error),)
        missing = sorted(named.secrets - known.keys())
        return tuple(
            f"the secret `{name}` is not set, and what needs it is denied: `sandbox secret set {name}`" for name in missing
        )

    def _hiding(self, redactor: Redactor, values: Mapping[str, str]) -> Redactor:
        """The redactor that hides the store's values too; kept until the store changes."""
        kept = self._redactors.get(redactor)
        if kept is None or kept[0] is not values:
            kept = self._redactors[redactor] = (values, redactor.hiding(_literals(values)))
        return kept[1]

    def _tell(self, error: HostUnavailable) -> None:
        """Once for each fault: who runs the host can put it right, a client is not told where it lies."""
        if str(error) != self._told:
            self._told = str(error)
            _LOG.error("%s", error)


def login_of(proxy: Proxy | None, store: SecretStore) -> Callable[[], str | None]:
    """What gives a proxy's login, as it is when asked; None where it has none, or the store does not hold."""
    name = None if proxy is None else proxy.secret
    if name is None:
        return lambda: None

    def login() -> str | None:
        try:
            return store.values().get(name)
        except HostUnavailable as error:
            _LOG.error("%s", error)
            return None

    return login


def _missing(key: str, secret: str, why: str) -> Denial:
    target = {"variable": key, "secret": secret}
    return Denial(Code.ENVIRONMENT_ACCESS_DENIED, target, f"the secret `{secret}` {why}")


def _literals(values: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return [pair for name, value in values.items() for pair in _parts(name, value)]


def _parts(name: str, value: str) -> Iterator[tuple[str, str]]:
    yield name, value
    lines = value.splitlines()
    yield from ((name, line) for line in lines if len(lines) > 1 and len(line) >= LINE)
