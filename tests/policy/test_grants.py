"""Grants: entries under the schema of a document, merged while they hold."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from sandbox.errors import GrantError
from sandbox.policy.effect import Effect
from sandbox.policy.grants import (
    Grant,
    GrantKind,
    make_entry_environment,
    make_entry_network,
    make_entry_resource,
    make_entry_storage,
    with_grants,
)
from sandbox.policy.load import load_policy
from sandbox.wit.types import Digest

DOCUMENT = load_policy(
    'version: "2.0"\npermissions:\n  storage: {allow: [{uri: fs:///srv/a, access: [read]}]}\n'
    "  environment: {allow: [{key: MODE, value: old}]}\n  resources: {limits: {memory: 64Mi, wall_time: 5s}}\n",
    file="p.yaml",
)


def grant(kind: GrantKind, entry: dict[str, Any], id_: str = "g1", **more: Any) -> Grant:
    return Grant(
        id=id_, component_name="c", digest=Digest("d"), kind=kind, entry=entry, who="me", **{"created_at": 100.0, **more}
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: make_entry_storage("/srv/x", ["read"]), "write `fs:///srv/x`"),
        (lambda: make_entry_storage("fs:///proc/1/mem", ["read"]), "lies in `/proc`"),
        (lambda: make_entry_storage("fs:///", ["read"]), "begins at `/`"),
        (lambda: make_entry_storage("fs:///srv/x", []), "`access` is missing"),
        (lambda: make_entry_storage("fs:///srv/x", ["raed"]), "did you mean `read`?"),
        (lambda: make_entry_storage("fs:///srv/x", ["read"], mount="/"), "is no place to mount at"),
        (lambda: make_entry_storage("fs:///srv/x", ["read"], mount="/x", effect="deny"), "unknown key `mount`"),
        (lambda: make_entry_network(), "names no target"),
        (lambda: make_entry_network("a.example:443"), "has a port"),
        (lambda: make_entry_network("a.example", protocols=["udp"]), "`udp` is not carried"),
        (lambda: make_entry_network("a.example", protocols=["tcp"]), "tcp has no port of its own"),
        (lambda: make_entry_network(cidr="169.254.169.254/32"), "metadata"),
        (lambda: make_entry_environment("A=B"), "is no variable's name"),
        (lambda: make_entry_environment("A_*", value="x"), "one value cannot be theirs"),
        (lambda: make_entry_resource(), "names no limit"),
        (lambda: make_entry_resource(memory=64), "is meant"),
        (lambda: make_entry_resource(memory="64"), "is no size"),
        (lambda: make_entry_resource(memry="64Mi"), "did you mean `memory`?"),
        (lambda: make_entry_resource(cpu="0.5"), "is no share of a core"),
        (lambda: make_entry_environment("A", effect="ask"), "is no effect"),
    ],
)
def test_what_no_document_could_hold_is_no_grant(make: Any, said: str) -> None:
    with pytest.raises(GrantError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(("now", "uses"), [(200.0, 0), (201.0, 0), (150.0, 2), (150.0, 3)])
def test_a_grant_that_is_expired_or_used_up_gives_nothing(now: float, uses: int) -> None:
    entry = make_entry_storage("fs:///srv/b", ["read"])
    one = grant("storage", entry, expires_at=200.0, max_uses=2, uses=uses)
    assert not one.holds(now)
    assert with_grants(DOCUMENT, [one], now) is DOCUMENT


def test_a_grant_that_holds_is_an_entry_beside_the_documents() -> None:
    one = grant(
        "storage", make_entry_storage("fs:///srv/b", ["read", "write"], mount="/m/b"), expires_at=200.0, max_uses=2, uses=1
    )
    merged = with_grants(DOCUMENT, [one], 199.9)
    assert [entry.uri for entry in merged.permissions.storage.allow] == ["fs:///srv/a", "fs:///srv/b"]
    assert [entry.origin for entry in merged.permissions.storage.allow] == ["p.yaml:3:21", "grant g1"]
    assert merged.digest != DOCUMENT.digest


def test_a_granted_limit_replaces_the_documents_and_the_last_one_holds() -> None:
    grants = [
        grant("resource", make_entry_resource(memory="128Mi"), "g2", created_at=102.0),
        grant("resource", make_entry_resource(memory="96Mi", fuel=5), "g1", created_at=101.0),
    ]
    limits = with_grants(DOCUMENT, grants, 150.0).permissions.resources.limits
    assert limits.written == {"memory": 128 << 20, "wall_time": 5000, "fuel": 5}
    assert limits.origins == {"memory": "grant g2", "wall_time": "p.yaml:5:49", "fuel": "grant g1"}


def test_a_granted_variable_replaces_the_documents_line_of_that_name() -> None:
    merged = with_grants(DOCUMENT, [grant("environment", make_entry_environment("MODE", value="new"))], 150.0)
    assert [(entry.key, entry.value, entry.origin) for entry in merged.permissions.environment.allow] == [
        ("MODE", "new", "grant g1")
    ]


def test_a_deny_may_be_granted_in_every_section_but_limits() -> None:
    denies = [
        grant("storage", make_entry_storage("fs:///srv/a", effect="deny"), "a", effect=Effect.DENY),
        grant("network", make_entry_network("a.example", effect="deny"), "b", effect=Effect.DENY),
        grant("environment", make_entry_environment("MODE", effect="deny"), "c", effect=Effect.DENY),
    ]
    merged = with_grants(DOCUMENT, denies, 150.0)
    origins = [[entry.origin for entry in entries] for _, effect, entries in merged.sections() if effect == "deny"]
    assert origins == [["grant a"], ["grant b"], ["grant c"]]
    limit = replace(denies[0], kind="resource", entry={"memory": "1Mi"})
    with pytest.raises(GrantError, match="is no effect of a resource grant"):
        with_grants(DOCUMENT, [limit], 150.0)


def test_an_entry_that_was_changed_in_the_store_is_no_entry() -> None:
    for entry in ({"uri": "fs:///proc", "access": ["read"]}, {"uri": "fs:///srv/a", "access": ["read"], "x": 1}, {}):
        with pytest.raises(GrantError):
            with_grants(DOCUMENT, [grant("storage", entry)], 150.0)


def test_an_entry_survives_the_way_through_json() -> None:
    import json

    entry = make_entry_network("a.example", ports=[443, "8000-8999"], methods=["GET"], paths=["/v1/**"])
    assert json.loads(json.dumps(entry)) == entry
    merged = with_grants(DOCUMENT, [grant("network", json.loads(json.dumps(entry)))], 150.0)
    assert merged.permissions.network.allow[0].plain() == entry


def test_a_grant_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        grant("storage", {}).max_uses = None  # type: ignore[misc]
