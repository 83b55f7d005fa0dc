"""Paths that one of two templates lets a call touch and the other does not, or not as far.

As `sandbox.template.examples`: candidates are made from the rules that only one of the two has and from what those have in common
with the others, and both templates are asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.policy.globs import NotExpressibleError, Segments, expand, intersect, matches
from sandbox.policy.units import show_size
from sandbox.template import samples
from sandbox.template.examples import Budget, Difference, Verdict, only_in_one
from sandbox.template.files import FileRules
from sandbox.template.template import Access, Effect, FileRule, WasiTemplate

_GROWS = Access.WRITE | Access.CREATE
_SIZES = (("max_file_bytes", "a file of"), ("max_total_bytes", "files of"))


def size_at(rules: tuple[FileRule, ...], path: str, field: str) -> tuple[int | None, str | None]:
    """How large a file (or all of a rule's) may be that is written there, and the line that says so; None without a bound.

    What several rules give is bounded by the largest of their sizes.
    """
    names = tuple(path.split("/")[1:])
    giving = [
        rule
        for rule in rules
        if rule.effect is Effect.ALLOW and rule.access & _GROWS and any(matches(pattern, names) for pattern in _patterns(rule))
    ]
    sizes = [(getattr(rule, field), rule.origin) for rule in giving]
    free = next((origin for size, origin in sizes if size is None), None)
    return (None, free) if free is not None or not sizes else max(sizes)


def file_differences(left: WasiTemplate, right: WasiTemplate, budget: Budget) -> Iterator[Difference]:
    """Paths that one of the two may touch in a way that the other may not; host paths."""
    ours, theirs = FileRules(left.files), FileRules(right.files)
    seen: dict[tuple[Verdict, Verdict], tuple[str, Access]] = {}
    candidates = tuple(dict.fromkeys(_file_candidates(left.files, right.files, budget)))
    for path in candidates:
        for bit in (Access.READ, Access.WRITE, Access.CREATE, Access.DELETE):
            key = (_verdict(ours, path, bit), _verdict(theirs, path, bit))
            if _answer(key[0]) == _answer(key[1]):
                continue
            known, access = seen.get(key, (path, Access.NONE))
            if known == path:
                seen[key] = (path, access | bit)
    yield from _size_differences(left, right, candidates)
    for verdicts, (path, access) in seen.items():
        yield Difference("storage", f"{' and '.join(access.words)} {path}", *verdicts)


def _file_candidates(left: tuple[FileRule, ...], right: tuple[FileRule, ...], budget: Budget) -> Iterator[str]:
    everything = [(rule, pattern) for rule in (*left, *right) for pattern in _patterns(rule)]
    for rule in only_in_one(left, right):
        for pattern in _patterns(rule):
            yield from samples.paths(pattern)
            for other, more in everything:
                if more != pattern and other.access & rule.access and budget.spend():
                    for common in _common(pattern, more):
                        yield from samples.paths(common)


def _patterns(rule: FileRule) -> tuple[Segments, ...]:
    return tuple(tuple(one.split("/")[1:]) if one != "/" else () for one in expand(rule.pattern))


def _common(one: Segments, other: Segments) -> tuple[Segments, ...]:
    try:
        return intersect(one, other)
    except NotExpressibleError:
        return ()


def _size_differences(left: WasiTemplate, right: WasiTemplate, candidates: tuple[str, ...]) -> Iterator[Difference]:
    """Files that both let grow, one of the two further."""
    if not any(rule.max_file_bytes or rule.max_total_bytes for rule in (*left.files, *right.files)):
        return
    ours, theirs = FileRules(left.files), FileRules(right.files)
    seen: set[tuple[object, ...]] = set()
    grown = [path for path in candidates if ours.access(path) & theirs.access(path) & _GROWS]
    for (field, words), path in ((size, path) for size in _SIZES for path in grown):
        (here, our_line), (there, their_line) = size_at(left.files, path, field), size_at(right.files, path, field)
        if here == there or (key := (field, our_line, their_line)) in seen:
            continue
        seen.add(key)
        most = max(here or 0, there or 0)
        example = (
            f"{words} {show_size(most)} and more at {path}" if None in (here, there) else f"{words} {show_size(most)} at {path}"
        )
        wide = None if None in (here, there) else most
        verdicts = (
            Verdict(size == wide, line, "any size" if size is None else f"up to {show_size(size)}")
            for size, line in ((here, our_line), (there, their_line))
        )
        yield Difference("storage", example, *verdicts)


def _answer(verdict: Verdict) -> str:
    return verdict.says if verdict.says in ("allowed", "asked") else "denied"


def _verdict(rules: FileRules, path: str, bit: Access) -> Verdict:
    decision = rules.decide(path, bit)
    if not decision.allowed and (asking := rules.asking(path, bit)) is not None:
        return Verdict(False, asking, "asked")
    says = "allowed" if decision.allowed else "denied" if decision.origin is not None else "no line allows it"
    return Verdict(decision.allowed, decision.origin, says)
