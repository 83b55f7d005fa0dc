"""What a new template no longer gives that an old one gave: what a revoke, an update, an expiry takes from running calls.

Says yes where it is not certain: a call that is stopped for nothing can be made again. What only moved to another line, or is
still given by a wider one, is not taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from sandbox.policy.checks import unbounded
from sandbox.policy.globs import NotExpressibleError, Segments, covers, intersect, name_covers, name_intersect
from sandbox.policy.hosts import ANY_PORT
from sandbox.policy.http_limits import stricter
from sandbox.policy.network_cover import cidr_covers, host_covers, path_patterns
from sandbox.template.keyvalue import kept_less
from sandbox.template.limits import FIELDS
from sandbox.template.template import Access, Effect, EnvironmentRule, FileRule, Limits, NetworkRule, WasiTemplate

_Rule = TypeVar("_Rule", FileRule, NetworkRule, EnvironmentRule)
# A call runs already: how many others may run beside it takes nothing from it.
_OF_ONE_CALL = tuple(field for name, field in FIELDS.items() if name != "concurrency")


@dataclass(frozen=True, slots=True)
class TakenAway:
    """The kinds of authority that were lost; false where nothing was."""

    files: bool = False
    network: bool = False
    environment: bool = False
    limits: bool = False

    def __bool__(self) -> bool:
        return self.files or self.network or self.environment or self.limits

    @property
    def only_network(self) -> bool:
        """Whether it is enough to reset the call's connections."""
        return self.network and not (self.files or self.environment or self.limits)


def taken_away(old: WasiTemplate, new: WasiTemplate) -> TakenAway:
    """What `new` no longer gives that `old` gave."""
    return TakenAway(
        files=bool({(p.host_path, p.guest_path) for p in old.preopens} - {(p.host_path, p.guest_path) for p in new.preopens})
        or _lost(old.files, new.files, file_rule_covers, _files_meet),
        network=_lost(old.network, new.network, network_rule_covers, _networks_meet),
        environment=_lost(old.environment, new.environment, _environment_covers, _environments_meet),
        limits=_lowered(old.limits, new.limits) or kept_less(old.keyvalue, new.keyvalue),
    )


def file_rule_covers(wide: FileRule, narrow: FileRule) -> bool:
    """Whether one rule certainly says all that another one says."""
    sizes = (narrow.max_file_bytes, narrow.max_total_bytes)
    grows = narrow.access & (Access.WRITE | Access.CREATE)
    bounded = grows and unbounded(sizes, (wide.max_file_bytes, wide.max_total_bytes)) is not None
    return not narrow.access & ~wide.access and not bounded and covers(_segments(wide), _segments(narrow))


def network_rule_covers(wide: NetworkRule, narrow: NetworkRule) -> bool:
    """Whether one rule certainly says all that another one says."""
    return (
        _target_covers(wide, narrow)
        and set(narrow.protocols) <= set(wide.protocols)
        and all(any(a <= c and d <= b for a, b in wide.ports or ANY_PORT) for c, d in narrow.ports or ANY_PORT)
        and (wide.methods is None or (narrow.methods is not None and set(narrow.methods) <= set(wide.methods)))
        and _paths_cover(wide.paths, narrow.paths)
        and narrow.credential in (None, wide.credential)
        and stricter(wide.limits, narrow.limits) is None
    )


def _lost(
    old: tuple[_Rule, ...],
    new: tuple[_Rule, ...],
    covers_rule: Callable[[_Rule, _Rule], bool],
    meet: Callable[[_Rule, _Rule], bool],
) -> bool:
    """Whether an allow or an ask went without another that covers it, or a deny or an ask came that meets what was given."""
    gone = _without(old, new, Effect.ALLOW) + _without(old, new, Effect.ASK)
    if not all(_still_given(lost, new, covers_rule, meet) for lost in gone):
        return True
    held = [rule for rule in old if rule.effect is not Effect.DENY]
    free = [rule for rule in held if rule.effect is Effect.ALLOW and not _granted(rule)]
    return any(
        any(meet(rule, come) for rule in met)
        for effect, met in ((Effect.DENY, held), (Effect.ASK, free))
        for come in _without(new, old, effect)
        if not any(rule.effect is effect and covers_rule(rule, come) for rule in old)
    )


def _still_given(
    lost: _Rule, new: tuple[_Rule, ...], covers_rule: Callable[[_Rule, _Rule], bool], meet: Callable[[_Rule, _Rule], bool]
) -> bool:
    """Whether a rule covers the one that went: an ask covers an ask alone, and no answer that it would ask for again."""
    wide = [rule for rule in new if rule.effect in (Effect.ALLOW, lost.effect) and covers_rule(rule, lost)]
    if not _granted(lost) or any(_granted(rule) for rule in wide):
        return bool(wide)
    return bool(wide) and not any(rule.effect is Effect.ASK and meet(lost, rule) for rule in new)


def _granted(rule: FileRule | NetworkRule | EnvironmentRule) -> bool:
    return isinstance(rule, FileRule) and rule.granted


def _without(rules: Iterable[_Rule], others: Iterable[_Rule], effect: Effect) -> list[_Rule]:
    """The rules of one effect that are not among the others, whatever line either comes from."""
    known = {_meaning(rule) for rule in others}
    return [rule for rule in rules if rule.effect is effect and _meaning(rule) not in known]


def _meaning(rule: FileRule | NetworkRule | EnvironmentRule) -> tuple[object, ...]:
    parts = (getattr(rule, name) for name in rule.__dataclass_fields__ if name not in ("origin", "limits"))
    limits = rule.limits if isinstance(rule, NetworkRule) else ()
    return (*parts, *(replace(each, origin="") for each in limits))


def _segments(rule: FileRule) -> Segments:
    return tuple(rule.pattern.split("/")[1:]) if rule.pattern != "/" else ()


def _files_meet(allow: FileRule, deny: FileRule) -> bool:
    try:
        return bool(allow.access & deny.access) and bool(intersect(_segments(allow), _segments(deny)))
    except NotExpressibleError:
        return True


def _networks_meet(allow: NetworkRule, deny: NetworkRule) -> bool:
    # An address range and a name may meet behind any resolver.
    if (allow.host is None) != (deny.host is None):
        return True
    same = _target_covers(allow, deny) or _target_covers(deny, allow)
    return same and bool(set(allow.protocols) & set(deny.protocols))


def _environment_covers(wide: EnvironmentRule, narrow: EnvironmentRule) -> bool:
    return name_covers(wide.key, narrow.key) and (wide.value, wide.secret) == (narrow.value, narrow.secret)


def _environments_meet(allow: EnvironmentRule, deny: EnvironmentRule) -> bool:
    try:
        return name_intersect(allow.key, deny.key) is not None
    except NotExpressibleError:
        return True


def _target_covers(wide: NetworkRule, narrow: NetworkRule) -> bool:
    if wide.host is not None and narrow.host is not None:
        return host_covers(wide.host, narrow.host)
    return wide.cidr is not None and narrow.cidr is not None and cidr_covers(wide.cidr, narrow.cidr)


def _paths_cover(wide: tuple[str, ...] | None, narrow: tuple[str, ...] | None) -> bool:
    if wide is None or narrow is None:
        return wide is None
    outer = path_patterns(wide)
    return all(any(covers(one, path) for one in outer) for path in path_patterns(narrow))


def _lowered(old: Limits, new: Limits) -> bool:
    pairs = ((getattr(old, field), getattr(new, field)) for field in _OF_ONE_CALL)
    return any(after is not None and (before is None or after < before) for before, after in pairs)
