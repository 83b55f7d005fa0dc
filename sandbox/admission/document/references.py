"""What the parts of an admission document say of each other: every name that is used is there.

Pure. Looks at the document together with what it extends, and names a place only in the document's own text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from sandbox.admission.conditions.patterns import covers
from sandbox.admission.document.models import AdmissionDocument, Role
from sandbox.admission.sections.roles import SHIPPED_ROLES
from sandbox.admission.subject import SHIPPED_SCOPES
from sandbox.policy.refusal import Refusal, did_you_mean, quoted
from sandbox.policy.tree import Path

Finding = tuple[Path, Refusal]


def findings(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    """What is wrong between the lines of `own`; `whole` is it with all that it extends."""
    yield from _roles(own, whole)
    yield from _scopes(own, whole)
    yield from _labels(own, whole)
    yield from _actions(own, whole)
    yield from _rules(own, whole)


def _roles(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    known = {*SHIPPED_ROLES, *whole.roles}
    for name, role in own.roles.items():
        yield from _unknown(role.inherits, known, "role", ("roles", name, "inherits"))
        if (circle := _circle(name, whole.roles)) is not None:
            told = f"the role {quoted(name)} inherits from itself: {' → '.join(circle)}"
            yield ("roles", name, "inherits"), Refusal(told, "take one of these out")
    for subject, roles in own.assignments.items():
        yield from _unknown(roles, known, "role", ("assignments", subject))


def _circle(start: str, roles: Mapping[str, Role]) -> list[str] | None:
    """The way from a role back to it, if there is one."""
    ways = [[start, each] for each in roles[start].inherits]
    seen = set()
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen and way[-1] in roles:
            seen.add(way[-1])
            ways += [[*way, each] for each in roles[way[-1]].inherits]
    return None


def _scopes(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    known = {*SHIPPED_SCOPES, *whole.scopes}
    for name, scope in own.scopes.items():
        for at, implied in enumerate(scope.implies):
            if not any(map(covers(implied), known)):
                yield ("scopes", name, "implies", at), _no("scope", implied, known)
    for at, requirement in enumerate(own.requires):
        yield from _unknown(requirement.scopes, known, "scope", ("requires", at, "scopes"))


def _labels(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    for name, label in own.session.labels.items():
        if not label.components and not label.tools:
            help_ = "name `components` or `tools`"
            yield ("session", "labels", name), Refusal(f"nothing has the label {quoted(name)}", help_)
    for at, apart in enumerate(own.session.never_together):
        yield from _unknown(apart, whole.session.labels, "label", ("session", "never_together", at))


def _actions(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    for at, action in enumerate(own.allowed_actions or ()):
        if action in whole.blocked_actions:
            told = f"{quoted(action)} is allowed here and blocked, and what is blocked is denied"
            yield ("allowed_actions", at), Refusal(told, "take it out of one of the two")


def _rules(own: AdmissionDocument, whole: AdmissionDocument) -> Iterator[Finding]:
    twice = [name for name, count in Counter(rule.name for rule in own.rules).items() if count > 1]
    for at, rule in enumerate(own.rules):
        if rule.name in twice and any(earlier.name == rule.name for earlier in own.rules[:at]):
            yield (
                ("rules", at, "name"),
                Refusal(f"two rules are named {quoted(rule.name)}", "a decision names the rule: rename one"),
            )
        approver = rule.constraints.approver_role
        if approver is not None and whole.roles and approver not in whole.roles:
            yield ("rules", at, "constraints", "approver_role"), _no("role", approver, whole.roles)


def _unknown(names: Iterable[str], known: Iterable[str], called: str, path: Path) -> Iterator[Finding]:
    there = set(known)
    for at, name in enumerate(names):
        if name not in there:
            yield (*path, at), _no(called, name, there)


def _no(called: str, name: str, known: Iterable[str]) -> Refusal:
    names = sorted(known)
    there = f"there are {', '.join(f'`{each}`' for each in names)}" if names else f"no {called} is written here"
    return Refusal(f"there is no {called} {quoted(name)}", did_you_mean(name, names) or there)
