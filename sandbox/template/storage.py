"""Storage lines → file rules and preopens, inside the ceiling.

The ceiling is applied here, exactly: an allow or ask line becomes what it has in common with each allow line of the ceiling, so
the template holds one set of rules and every gate judges by it; what it has in common with an ask line is asked about. A line
wholly outside is refused, one that has more in it than the ceiling is narrowed with a warning, and an overlap that no pattern can
say is refused too. The ceiling's denies are added.

Rules: no line may reach the host's own folders (policy, state, cache, record) or another component's data; none may be led
elsewhere by a link that a component could have planted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sandbox.policy.checks import unbounded
from sandbox.policy.entries import StorageAllow, StorageAsk, StorageDeny
from sandbox.policy.globs import NotExpressibleError, Segments, covers, intersect
from sandbox.policy.models import Storage
from sandbox.policy.overlap import Covering, Work
from sandbox.policy.refusal import Refusal, quoted
from sandbox.template.files import FileRules
from sandbox.template.place import Located, MissingVariableError, Sizes, Surroundings, locate, preopen
from sandbox.template.report import Report
from sandbox.template.template import Access, Effect, FileRule, Preopen

_GROWS = Access.WRITE | Access.CREATE


@dataclass(frozen=True, slots=True)
class CompiledStorage:
    """The rules, the folders to open for them, and the folders of the component's own that must exist."""

    rules: tuple[FileRule, ...]
    preopens: tuple[Preopen, ...]
    own_folders: tuple[str, ...]


def compile_storage(document: Storage, ceilings: Iterable[Storage], around: Surroundings, report: Report) -> CompiledStorage:
    """Compile one document's storage inside every ceiling; what is wrong goes into `report`."""
    allows = [item for at, entry in enumerate(document.allow) for item in _located(at, entry, around, report, "allow")]
    allows += [item for at, entry in enumerate(document.ask) for item in _located(at, entry, around, report, "ask")]
    denies = [item for at, entry in enumerate(document.deny) for item in _located(at, entry, around, report, "deny")]
    _refuse_restrictions(allows, report)
    for ceiling in ceilings:
        allows = list(_inside_ceiling(allows, ceiling, around, report))
        denies += [item for entry in ceiling.deny for item in _located(0, entry, around, report, "deny")]
    _refuse_protected(allows, around, report)
    _refuse_shared(allows, around, report)
    _refuse_planted_links(allows, report)
    preopens = _preopens(allows, around, report)
    own = {item.host_path for item in preopens for allow in allows if allow.own and _same_preopen(allow, item, around)}
    return CompiledStorage(tuple(item.rule for item in (*allows, *denies)), preopens, tuple(sorted(own)))


def _located(
    at: int, entry: StorageAllow | StorageAsk | StorageDeny, around: Surroundings, report: Report, effect: str
) -> tuple[Located, ...]:
    try:
        return locate(entry, around)
    except Refusal as refusal:
        once = isinstance(refusal, MissingVariableError)
        report.refuse(entry.origin, f"permissions.storage.{effect}[{at}].uri", refusal, once=once)
        return ()


def _inside_ceiling(allows: Sequence[Located], ceiling: Storage, around: Surroundings, report: Report) -> Iterator[Located]:
    most = [item for entry in ceiling.allow for item in _located(0, entry, around, report, "allow")]
    asking = [item for entry in ceiling.ask for item in _located(0, entry, around, report, "ask")]
    for allow in allows:
        try:
            parts = list(_parts(allow, most, asking))
        except NotExpressibleError as error:
            report.refuse(
                allow.origin,
                "permissions.storage",
                Refusal(
                    f"{quoted(allow.shown)} overlaps the ceiling in a way that no rule can say: {error}", "write a narrower uri"
                ),
            )
            continue
        if not parts:
            report.refuse(
                allow.origin, "permissions.storage", Refusal(f"{quoted(allow.shown)} is outside the ceiling", _offers(ceiling))
            )
        elif parts != [allow]:
            report.warn(allow.origin, f"the ceiling narrows {quoted(allow.shown)}")
        yield from parts


def _parts(allow: Located, most: list[Located], asking: list[Located]) -> Iterator[Located]:
    """What of a line is inside; what a person gave is asked about no more."""
    answered = allow.granted or allow.effect is Effect.ASK
    for pattern, access, sizes in _common(allow, [*most, *asking] if answered else most):
        yield allow.narrowed(pattern, access, sizes)
    for pattern, access, sizes in () if answered else _common(allow, asking):
        yield replace(allow.narrowed(pattern, access, sizes), effect=Effect.ASK, sizes=(None, None))


def _common(allow: Located, most: Iterable[Located]) -> Iterator[tuple[Segments, Access, Sizes]]:
    whole: dict[Segments, tuple[Access, Sizes | None]] = {}
    for limit in most:
        access = allow.access & limit.access
        sizes = _both(allow.sizes, limit.sizes) if access & _GROWS else None
        for pattern in intersect(allow.pattern, limit.pattern) if access else ():
            held, known = whole.get(pattern, (Access.NONE, None))
            whole[pattern] = held | access, _either(known, sizes)
    # A part that another one holds with at least its access, and room, adds nothing.
    for pattern, (access, sizes) in whole.items():
        wider = (
            other
            for other, (more, room) in whole.items()
            if other != pattern and not access & ~more and (sizes is None or (room is not None and _either(room, sizes) == room))
        )
        if not any(covers(other, pattern) for other in wider):
            yield pattern, access, sizes or (None, None)


def _both(one: Sizes, other: Sizes) -> Sizes:
    """The sizes that both allow."""
    file, total = (min((size for size in pair if size is not None), default=None) for pair in zip(one, other, strict=True))
    return file, total


def _either(one: Sizes | None, other: Sizes | None) -> Sizes | None:
    """The sizes that one of the two allows."""
    if one is None or other is None:
        return one or other
    file, total = (None if None in pair else max(size or 0 for size in pair) for pair in zip(one, other, strict=True))
    return file, total


def _offers(ceiling: Storage) -> str:
    lines = ", ".join(f"{quoted(entry.uri)} ({', '.join(entry.access)})" for entry in (*ceiling.allow, *ceiling.ask)[:5])
    return f"the ceiling allows {lines}" if lines else "the ceiling allows no storage at all"


def _refuse_restrictions(allows: Sequence[Located], report: Report) -> None:
    """As in the document, now that anchors and links are resolved: an allow that reads like a restriction but is none.

    Grants are left out: who grants more beside a narrower line means to.
    """
    lines = [allow for allow in allows if not allow.granted and allow.effect is Effect.ALLOW]
    covering = Covering([(allow.pattern,) for allow in lines], Work())
    for narrow in lines:
        try:
            wider = [lines[number] for number in covering.of((narrow.pattern,))]
        except Refusal as refusal:
            report.refuse(narrow.origin, "permissions.storage", refusal)
            return
        for wide in wider:
            looser = unbounded(wide.sizes, narrow.sizes) if wide is not narrow and wide.access & _GROWS else None
            if looser is not None:
                said = f"`{looser}` of {quoted(narrow.shown)} reads like a restriction but is none"
                why = Refusal(f"{said}: {wide.origin} lets more be stored", f"write a `{looser}` there too")
                report.refuse(narrow.origin, "permissions.storage", why)
            more = wide.access & ~narrow.access
            if more and wide.pattern != narrow.pattern:
                words = ", ".join(more.words)
                message = f"{quoted(narrow.shown)} reads like a restriction but is none: {wide.origin} gives {words} there too"
                report.refuse(narrow.origin, "permissions.storage", Refusal(message, f"write a deny of {words}"))


def _refuse_protected(allows: Sequence[Located], around: Surroundings, report: Report) -> None:
    own = around.resolve(around.data_folder)
    folders = [around.resolve(folder) for folder in around.protected]
    for allow in allows:
        # What lies in the component's own data folder is below the folder of all components' data, and is its own.
        inside = allow.names[: len(own.split("/")) - 1] == tuple(own.split("/")[1:])
        rules = FileRules((allow.rule,))
        for folder in folders:
            if inside and _contains(folder, own):
                continue
            if rules.visible(folder) or _contains(folder, "/" + "/".join(allow.names)):
                message = f"{quoted(allow.shown)} reaches folders that are the host's own (policy, state, cache, record, data)"
                report.refuse(allow.origin, "permissions.storage", Refusal(message, "grant another folder"))
                break


def _refuse_shared(allows: Sequence[Located], around: Surroundings, report: Report) -> None:
    """What a document for several components shares is theirs alone."""
    for allow in allows if around.shared else ():
        rules = FileRules((allow.rule,))
        if any(rules.visible(place) or _contains(place, "/" + "/".join(allow.names)) for place in around.shared):
            message = f"{quoted(allow.shown)} reaches what other components share by a document of theirs (`scope: workflow`)"
            report.refuse(
                allow.origin, "permissions.storage", Refusal(message, "name this component there, or grant another folder")
            )


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refuse_planted_links(allows: Sequence[Located], report: Report) -> None:
    """A link in a folder that the component may write could be its own, and lead a later grant anywhere."""
    followed = [(allow, link) for allow in allows for link in allow.links]
    if not followed:
        return
    rules = FileRules(allow.rule for allow in allows)
    for allow, link in followed:
        if any((rules.access(place) | rules.asked(place)) & Access.CREATE for place in (link, posixpath.dirname(link))):
            message = f"{quoted(allow.shown)} goes through a link that the component may have made itself"
            report.refuse(allow.origin, "permissions.storage", Refusal(message, "write the path without links"))


def _preopens(allows: Sequence[Located], around: Surroundings, report: Report) -> tuple[Preopen, ...]:
    found: dict[str, Preopen] = {}
    for allow in allows:
        try:
            item = preopen(allow, around)
        except Refusal as refusal:
            report.refuse(allow.origin, "permissions.storage", refusal)
            continue
        first = found.get(item.guest_path, item)
        if first.host_path != item.host_path:
            message = f"{quoted(item.guest_path)} would be two folders, {quoted(first.host_path)} and {quoted(item.host_path)}"
            report.refuse(allow.origin, "permissions.storage", Refusal(message, "mount one of them elsewhere"))
        found[item.guest_path] = replace(first, writable=first.writable or item.writable)
    return tuple(found[guest] for guest in sorted(found))


def _same_preopen(allow: Located, item: Preopen, around: Surroundings) -> bool:
    try:
        return preopen(allow, around).host_path == item.host_path
    except Refusal:
        return False
