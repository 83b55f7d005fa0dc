"""The smallest grant that would have allowed what was denied.

For the operator's terminal the entry of a document, with the host's path; for a client the same in the guest's own words. No
grant beats a deny, so a denial by one has none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from sandbox.errors import Code, GrantError
from sandbox.policy.globs import escape
from sandbox.policy.grants import SIZES, GrantKind, make_entry
from sandbox.policy.units import show_size
from sandbox.policy.uris import SCHEME, static_prefix
from sandbox.template.files import FileRules
from sandbox.template.limits import FIELDS, show_limit
from sandbox.template.template import Access, Effect, FileRule, WasiTemplate


class Denied(Protocol):
    """What of a denial is looked at: `sandbox.host.outcome.Denial`."""

    @property
    def code(self) -> Code:
        """The closed code."""

    @property
    def target(self) -> dict[str, Any]:
        """What was tried, in the guest's words."""

    @property
    def origin(self) -> str | None:
        """The deny that decided, or None."""

    @property
    def private(self) -> dict[str, Any]:
        """`host_path` and `access`, for the operator alone."""


@dataclass(frozen=True, slots=True)
class SmallestGrant:
    """`entry` as a document would write it, host path included; `for_client` without anything the guest did not say."""

    kind: GrantKind
    entry: dict[str, Any]
    for_client: dict[str, Any]


def grant_for(denial: Denied, template: WasiTemplate) -> SmallestGrant | None:
    """The smallest grant, or None where none would help: a deny decided, a secret is missing, or no policy may allow it."""
    make = _MAKERS.get(denial.code)
    if (
        "secret" in denial.target
        or make is None
        or (denial.origin is not None and denial.code is not Code.RESOURCE_LIMIT_EXCEEDED)
    ):
        return None
    try:
        return make(denial, template)
    except GrantError:
        # What no document could hold, a person cannot grant either: a path in `/proc`, a name that is no name.
        return None


def _storage(denial: Denied, template: WasiTemplate) -> SmallestGrant | None:
    guest = str(denial.target.get("path", ""))
    host = str(denial.private.get("host_path") or guest)
    missing: Iterable[str] = denial.private.get("access") or _ACCESS.get(str(denial.target.get("operation")), ())
    access = [str(word) for word in missing]
    mount = guest if guest != host and guest.startswith("/") else None
    sizes = _sizes_at(host, template) if _GROWS & set(access) else {}
    entry = make_entry("storage", {"uri": f"{SCHEME}{_escaped(host)}", "access": access, "mount": mount, **sizes})
    return SmallestGrant("storage", entry, {"path": guest, "access": access})


def _sizes_at(host: str, template: WasiTemplate) -> dict[str, str]:
    """The sizes that hold at a path already: a line beside them that leaves them out would lift them."""
    allows = [rule for rule in template.files if rule.effect is Effect.ALLOW and rule.access & (Access.WRITE | Access.CREATE)]
    if all((rule.max_file_bytes, rule.max_total_bytes) == (None, None) for rule in allows):
        return {}
    there = [rule for rule in allows if FileRules((rule,)).access(host)]
    sizes = {"max_file_size": [rule.max_file_bytes for rule in there], "max_total_size": [rule.max_total_bytes for rule in there]}
    # Of several the largest holds, and none where one line has none.
    return {
        name: show_size(max(size for size in each if size is not None))
        for name, each in sizes.items()
        if each and None not in each
    }


def _network(denial: Denied, _: WasiTemplate) -> SmallestGrant | None:
    target, address = denial.target, denial.private.get("address")
    if target.get("operation") not in (None, "connect"):
        # A name that was looked up says no port, and nothing may listen.
        return None
    where = {"ports": [target.get("port")], "protocols": [target.get("scheme")]}
    if address is not None:
        # The name is allowed and leads to an address that is not public: only a rule for the address helps.
        return SmallestGrant("network", make_entry("network", {"cidr": _range(str(address)), **where}), _named(target, where))
    what = {**where, "methods": [target["method"]] if target.get("method") else None}
    host = str(target.get("host", ""))
    name = {"cidr": _range(host)} if _is_address(host) else {"host": host}
    try:
        entry = make_entry("network", {**name, **what, "paths": _paths(target)})
    except GrantError:
        entry = make_entry("network", {**name, **what})
    return SmallestGrant("network", entry, dict(entry))


def _environment(denial: Denied, _: WasiTemplate) -> SmallestGrant | None:
    entry = make_entry("environment", {"key": str(denial.target.get("variable", ""))})
    return SmallestGrant("environment", entry, dict(entry))


def _resource(denial: Denied, template: WasiTemplate) -> SmallestGrant | None:
    """Twice the limit: how much the call would have used is not known."""
    name = str(denial.target.get("resource", ""))
    if name in SIZES:
        return _size(name, denial, template)
    field = FIELDS.get(name)
    value = getattr(template.limits, field) if field is not None else None
    if value is None:
        return None
    counted = name in {"fuel", "open_files", "concurrency"}
    entry = make_entry("resource", {name: value * 2 if counted else show_limit(name, value * 2)})
    return SmallestGrant("resource", entry, dict(entry))


def _size(name: str, denial: Denied, template: WasiTemplate) -> SmallestGrant | None:
    """The line that was reached once more, with twice the room; None where it is there no longer."""
    rule = next((one for one in template.files if one.origin == denial.origin and one.effect is Effect.ALLOW), None)
    sizes = {} if rule is None else dict(zip(SIZES, (rule.max_file_bytes, rule.max_total_bytes), strict=True))
    if rule is None or sizes[name] is None:
        return None
    # Both bounds: what the new line leaves out it would not bound at all.
    wider = {each: show_size(most * (2 if each == name else 1)) for each, most in sizes.items() if most is not None}
    written = {"uri": f"{SCHEME}{rule.pattern}", "access": list(rule.access.words), "mount": _mount(rule, template), **wider}
    return SmallestGrant("storage", make_entry("storage", written), {name: wider[name]})


def _mount(rule: FileRule, template: WasiTemplate) -> str | None:
    """What the guest calls the rule's static prefix; None where it calls it as the host does."""
    names, _ = static_prefix(tuple(rule.pattern.strip("/").split("/")))
    prefix = PurePosixPath("/", *names)
    around = (one for one in template.preopens if prefix.is_relative_to(one.host_path))
    found = max(around, key=lambda one: len(one.host_path), default=None)
    if found is None or found.guest_path == found.host_path:
        return None
    return str(PurePosixPath(found.guest_path, prefix.relative_to(found.host_path)))


_GROWS = {"write", "create"}
_ACCESS: dict[str, tuple[str, ...]] = {
    "read": ("read",),
    "list": ("read",),
    "stat": ("read",),
    "write": ("write",),
    "create": ("create",),
    "delete": ("delete",),
}
_MAKERS = {
    Code.FILESYSTEM_ACCESS_DENIED: _storage,
    Code.NETWORK_ACCESS_DENIED: _network,
    Code.ENVIRONMENT_ACCESS_DENIED: _environment,
    Code.RESOURCE_LIMIT_EXCEEDED: _resource,
}


def _escaped(path: str) -> str:
    return "/".join(escape(name) for name in path.split("/"))


def _paths(target: Mapping[str, Any]) -> list[str] | None:
    path = str(target.get("path") or "").partition("?")[0]
    return [_escaped(path)] if path else None


def _named(target: Mapping[str, Any], where: dict[str, Any]) -> dict[str, Any]:
    return {"host": target.get("host"), **where}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _range(address: str) -> str:
    return str(ipaddress.ip_network(address.strip("[]")))
