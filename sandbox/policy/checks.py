"""What the lines of a document mean beside each other: restrictions that are none, allows that a deny takes whole.

Rules add up, so an allow never narrows another one. A line that can only be read as a restriction and restricts nothing is
refused; an allow without effect is a warning. Looks at text only: paths with different anchors (`~`, a variable, the data
folder) are not compared here, `template.compile` compares them once they are resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sandbox.policy import uris
from sandbox.policy.entries import (
    EnvironmentAllow,
    EnvironmentDeny,
    NetworkAllow,
    NetworkEntry,
    StorageAllow,
    StorageAsk,
    StorageDeny,
    StorageEntry,
)
from sandbox.policy.globs import Segments, name_covers
from sandbox.policy.http_limits import stricter
from sandbox.policy.network_cover import Targets, network_covers
from sandbox.policy.overlap import Covering, Work
from sandbox.policy.refusal import quoted


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a document that are well formed, whatever else is wrong with it; each with its place in its list."""

    storage_allow: tuple[tuple[int, StorageAllow], ...] = ()
    storage_deny: tuple[tuple[int, StorageDeny], ...] = ()
    network_allow: tuple[tuple[int, NetworkAllow], ...] = ()
    network_deny: tuple[tuple[int, NetworkEntry], ...] = ()
    environment_allow: tuple[tuple[int, EnvironmentAllow], ...] = ()
    environment_deny: tuple[tuple[int, EnvironmentDeny], ...] = ()
    storage_ask: tuple[tuple[int, StorageAsk], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one entry: its section, its place in the list, what and what to write."""

    section: str
    at: int
    message: str
    help: str | None = None
    effect: Literal["allow", "ask"] = "allow"


def contradictions(entries: Entries) -> Iterator[Finding]:
    """Allows that read like a restriction but are none, and names with two meanings. May raise `Refusal` (too much work)."""
    work = Work()
    yield from _storage_restrictions(entries.storage_allow, work)
    yield from _network_restrictions(entries.network_allow, work)
    yield from _two_credentials(entries.network_allow, work)
    yield from _two_values(entries.environment_allow)
    yield from _two_folders(entries)


def doubts(entries: Entries) -> Iterator[Finding]:
    """What is allowed and probably not meant: allows that a deny shadows, and the widest ones. May raise `Refusal`."""
    work = Work()
    yield from _shadowed_storage(entries, work)
    yield from _shadowed_network(entries, work)
    yield from _shadowed_environment(entries, work)
    for at, allow in entries.network_allow:
        yield from _wide_network(at, allow)


def _storage_restrictions(allows: Sequence[tuple[int, StorageAllow]], work: Work) -> Iterator[Finding]:
    patterns = [_patterns(allow) for _, allow in allows]
    covering = Covering(patterns, work)
    for number, (at, narrow) in enumerate(allows):
        for other in covering.of(patterns[number]):
            wide = allows[other][1]
            looser = unbounded(wide.sizes, narrow.sizes) if other != number and _grows(wide) else None
            if looser is not None:
                yield Finding(
                    "storage",
                    at,
                    f"`{looser}` of {quoted(narrow.uri)} reads like a restriction but is none: {wide.origin} lets more be stored",
                    f"write a `{looser}` there that is no larger, or give `write` and `create` in one line alone",
                )
                break
            more = [word for word in wide.access if word not in narrow.access]
            if more and patterns[other] != patterns[number]:
                yield Finding(
                    "storage",
                    at,
                    f"{quoted(narrow.uri)} reads like a restriction but is none: {wide.origin} gives {_words(more)} there too",
                    f"write a deny of {_words(more)} on {quoted(narrow.uri)}, and take this line out",
                )
                break


def unbounded(wide: tuple[int | None, int | None], narrow: tuple[int | None, int | None]) -> str | None:
    """The size that a narrow line bounds and a wider one does not, or not as much; None where there is none."""
    for name, most, bound in zip(("max_file_size", "max_total_size"), wide, narrow, strict=True):
        if bound is not None and (most is None or most > bound):
            return name
    return None


def _grows(allow: StorageAllow) -> bool:
    return bool({"write", "create"} & set(allow.access))


def _network_restrictions(allows: Sequence[tuple[int, NetworkAllow]], work: Work) -> Iterator[Finding]:
    targets = Targets([allow for _, allow in allows])
    for number, (at, narrow) in enumerate(allows):
        for other in targets.of(narrow) if _restricts(narrow) or narrow.limits is not None else ():
            work.spend()
            wide = allows[other][1]
            if other == number or not network_covers(wide, narrow):
                continue
            looser = stricter(narrow.bounds, wide.bounds)
            if looser is not None:
                yield Finding(
                    "network",
                    at,
                    f"`{looser}` of {quoted(narrow.target)} reads like a restriction but is none: {wide.origin} is looser",
                    f"write a `{looser}` there that is no looser, or take one of the two lines out",
                )
                break
            if not network_covers(narrow, wide, target=False) and _restricts(narrow):
                yield Finding(
                    "network",
                    at,
                    f"{quoted(narrow.target)} reads like a restriction but is none: {wide.origin} allows more of it",
                    "write a deny for what is not meant, and take this line out",
                )
                break


def _restricts(entry: NetworkAllow) -> bool:
    # A line with a credential says what goes along with its requests, whatever else is allowed.
    if entry.credential is not None:
        return False
    return any(part is not None for part in (entry.ports, entry.protocols, entry.methods, entry.paths))


def _two_credentials(allows: Sequence[tuple[int, NetworkAllow]], work: Work) -> Iterator[Finding]:
    """Two lines that give one request two values for one header; what overlaps in part is refused when it is asked."""
    seen: dict[tuple[str | None, str], list[NetworkAllow]] = {}
    for at, allow in allows:
        if (added := allow.credential) is None:
            continue
        before = seen.setdefault((allow.host, added.header.lower()), [])
        for other in before:
            work.spend()
            same = network_covers(other, allow) or network_covers(allow, other)
            if same and other.credential != added:
                told = f"{quoted(allow.target)} has another credential in {quoted(added.header)} at {other.origin}"
                yield Finding("network", at, told, "keep one of the two, or tell them apart by `paths` or `methods`")
                break
        before.append(allow)


def _two_values(allows: Sequence[tuple[int, EnvironmentAllow]]) -> Iterator[Finding]:
    seen: dict[str, EnvironmentAllow] = {}
    for at, allow in allows:
        first = seen.setdefault(allow.key, allow)
        if (first.value, first.secret) != (allow.value, allow.secret):
            yield Finding("environment", at, f"{quoted(allow.key)} has another value at {first.origin}", "keep one of the two")


def _two_folders(entries: Entries) -> Iterator[Finding]:
    seen: dict[str, tuple[StorageEntry, object]] = {}
    for at, allow in (*entries.storage_allow, *entries.storage_ask):
        if allow.mount is None:
            continue
        uri = uris.parse_uri(allow.uri)
        place = (uri.anchor, uri.variable, {uris.static_prefix(pattern)[0] for pattern in uri.expanded})
        first, where = seen.setdefault(allow.mount, (allow, place))
        if where != place:
            effect: Literal["allow", "ask"] = "ask" if isinstance(allow, StorageAsk) else "allow"
            said = f"{quoted(allow.mount)} is another folder at {first.origin}"
            yield Finding("storage", at, said, "mount one of them elsewhere", effect)


def _shadowed_storage(entries: Entries, work: Work) -> Iterator[Finding]:
    covering = Covering([_patterns(deny) for _, deny in entries.storage_deny], work)
    for at, entry in (*entries.storage_allow, *entries.storage_ask):
        denies = [entries.storage_deny[number][1] for number in covering.of(_patterns(entry))]
        if set(entry.access) <= {word for deny in denies for word in deny.access}:
            lines, asks = ", ".join(deny.origin for deny in denies), isinstance(entry, StorageAsk)
            said = f"{quoted(entry.uri)} is {'asked about' if asks else 'allowed'} in vain: the deny at {lines} takes all of it"
            yield Finding("storage", at, said, effect="ask" if asks else "allow")
    yield from _shadowed_by_ask(entries, work)


def _shadowed_by_ask(entries: Entries, work: Work) -> Iterator[Finding]:
    covering = Covering([_patterns(ask) for _, ask in entries.storage_ask], work)
    for at, allow in entries.storage_allow:
        asks = [entries.storage_ask[number][1] for number in covering.of(_patterns(allow))]
        if set(allow.access) <= {word for ask in asks for word in ask.access}:
            lines = ", ".join(ask.origin for ask in asks)
            yield Finding("storage", at, f"{quoted(allow.uri)} is allowed in vain: the ask at {lines} has a person asked first")


def _shadowed_network(entries: Entries, work: Work) -> Iterator[Finding]:
    targets = Targets([deny for _, deny in entries.network_deny])
    for at, allow in entries.network_allow:
        for number in targets.of(allow):
            work.spend()
            deny = entries.network_deny[number][1]
            if network_covers(deny, allow, wide_denies=True):
                yield Finding(
                    "network", at, f"{quoted(allow.target)} is allowed in vain: the deny at {deny.origin} takes all of it"
                )
                break
        else:
            yield from _without_addresses(at, allow, entries.network_deny)


def _without_addresses(at: int, allow: NetworkEntry, denies: Sequence[tuple[int, NetworkEntry]]) -> Iterator[Finding]:
    """A name leads nowhere where every address is denied: other hosts let a host's allow win over such a deny."""
    lines = {deny.cidr: deny.origin for _, deny in denies if network_covers(deny, allow, target=False, wide_denies=True)}
    if allow.host is not None and "0.0.0.0/0" in lines:
        left = "in vain" if "::/0" in lines else "for its IPv6 addresses alone"
        message = f"{quoted(allow.host)} is allowed {left}: the deny at {lines['0.0.0.0/0']} takes every other address"
        yield Finding("network", at, message, "take that deny out: what no line allows is denied")


def _shadowed_environment(entries: Entries, work: Work) -> Iterator[Finding]:
    for at, variable in entries.environment_allow:
        for _, deny in entries.environment_deny:
            work.spend()
            if name_covers(deny.key, variable.key):
                yield Finding("environment", at, f"{quoted(variable.key)} is allowed in vain: the deny at {deny.origin} takes it")
                break
        if not variable.key.strip("*?"):
            yield Finding("environment", at, f"{quoted(variable.key)} shows every variable of the host", "name the variables")


def _wide_network(at: int, allow: NetworkEntry) -> Iterator[Finding]:
    if allow.host == "*":
        yield Finding("network", at, "`*` allows every public address", "name the hosts that are needed")
    elif allow.host is not None and allow.host.startswith("*.") and "." not in allow.host[2:]:
        yield Finding("network", at, f"{quoted(allow.host)} allows a whole top-level domain", "name the hosts that are needed")
    elif allow.host == "localhost" or (allow.host or "").endswith(".localhost"):
        help_ = "a name leads to a loopback address only where a `cidr` rule names that address"
        yield Finding("network", at, f"{quoted(allow.host)} is this machine", help_)


def _patterns(entry: StorageEntry | StorageDeny) -> tuple[Segments, ...]:
    """The patterns of an entry, each below the name of its anchor: only what has the same one is compared."""
    uri = uris.parse_uri(entry.uri)
    return tuple((f"{uri.anchor}:{uri.variable}", *pattern) for pattern in uri.expanded)


def _words(words: Sequence[str]) -> str:
    return "`" + "`, `".join(words) + "`"
