"""What a change takes away, why a thing is allowed, what would allow a denial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandbox.errors import Code
from sandbox.host.outcome import Denial
from sandbox.template.difference import TakenAway, taken_away
from sandbox.template.explain import explain_environment, explain_file, explain_url
from sandbox.template.smallest import grant_for
from sandbox.template.template import Access, Limits, WasiTemplate
from tests.template.compiling import compiled, storage


def template(permissions: str) -> WasiTemplate:
    return compiled(permissions).template


FILES, NETWORK, ENVIRONMENT, LIMITS = (
    TakenAway(files=True),
    TakenAway(network=True),
    TakenAway(environment=True),
    TakenAway(limits=True),
)
HOST = "{{network: {{allow: [{{host: {}}}]}}}}"
LIMIT = "{{resources: {{limits: {{{}}}}}}}"


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        (storage("fs:///srv/a/**"), "{}", FILES),
        (storage("fs:///srv/a/**"), storage("fs:///srv/b/**"), FILES),
        (storage("fs:///srv/a/**", access="[read, write]"), storage("fs:///srv/a/**"), FILES),
        (storage("fs:///srv/a/**"), storage("fs:///srv/a/**", deny=("fs:///srv/a/p",)), FILES),
        (storage("fs:///srv/a/**"), storage("fs:///srv/a/b/**"), FILES),
        (
            '{storage: {allow: [{uri: "fs:///srv/a/**", access: [read], mount: /x}]}}',
            '{storage: {allow: [{uri: "fs:///srv/a/**", access: [read], mount: /y}]}}',
            FILES,
        ),
        (HOST.format("a.example"), "{}", NETWORK),
        (HOST.format("a.example"), HOST.format("a.example, ports: [443]"), NETWORK),
        (HOST.format("a.example"), HOST.format("a.example, methods: [GET]"), NETWORK),
        (HOST.format("a.example"), HOST.format('a.example, paths: ["/v1/**"]'), NETWORK),
        (HOST.format('"*.example"'), HOST.format("a.example"), NETWORK),
        (HOST.format("a.example"), '{network: {allow: [{host: a.example}], deny: [{host: "*.example"}]}}', NETWORK),
        (HOST.format("a.example"), "{network: {allow: [{host: a.example}], deny: [{cidr: 192.0.2.0/24}]}}", NETWORK),
        ("{environment: {allow: [{key: LANG}]}}", "{}", ENVIRONMENT),
        ("{environment: {allow: [{key: A, value: x}]}}", "{environment: {allow: [{key: A, value: y}]}}", ENVIRONMENT),
        ("{environment: {allow: [{key: A_*}]}}", "{environment: {allow: [{key: A_*}], deny: [{key: A_B}]}}", ENVIRONMENT),
        (LIMIT.format("memory: 512Mi"), "{}", LIMITS),
        ("{}", LIMIT.format("wall_time: 1s"), LIMITS),
        ("{}", LIMIT.format("fuel: 1000"), LIMITS),
    ],
)
def test_what_is_taken_away_is_seen(old: str, new: str, lost: TakenAway) -> None:
    assert taken_away(template(old), template(new)) == lost
    assert lost.only_network is (lost == NETWORK)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{}", storage("fs:///srv/a/**")),
        (storage("fs:///srv/a/**"), storage("fs:///srv/a/**", "fs:///srv/b/**")),
        (storage("fs:///srv/a/**"), storage("fs:///srv/a/**", access="[read, write]")),
        (storage("fs:///srv/a/**"), storage("fs:///srv/a/**", deny=("fs:///srv/b/p",))),
        (storage("fs:///srv/a/**", deny=("fs:///srv/a/p",)), storage("fs:///srv/a/**")),
        (storage("fs:///srv/a/*.txt", "fs:///srv/a/b"), storage("fs:///srv/a/*")),
        (HOST.format("a.example, methods: [GET]"), HOST.format("a.example")),
        (HOST.format("a.example"), HOST.format('"*.example"')),
        (HOST.format("a.example"), "{network: {allow: [{host: a.example}], deny: [{host: b.example}]}}"),
        (LIMIT.format("wall_time: 1s"), "{}"),
        ("{}", LIMIT.format("concurrency: 1")),
        (LIMIT.format("fuel: 5"), "{}"),
    ],
)
def test_what_is_still_given_is_not_taken_away(old: str, new: str) -> None:
    assert not taken_away(template(old), template(new))


def test_another_line_for_the_same_is_no_loss() -> None:
    one = template(storage("fs:///srv/a/**"))
    moved = replace(one, files=tuple(replace(rule, origin="grant 7") for rule in one.files))
    assert not taken_away(one, moved)


def test_a_limit_lost_by_nobody_is_not_lost() -> None:
    assert not taken_away(WasiTemplate(limits=Limits(memory_bytes=5)), WasiTemplate(limits=Limits(memory_bytes=6)))


EXPLAINED = template(
    '{storage: {allow: [{uri: "fs:///srv/a/**", access: [read]}], deny: [{uri: "fs:///srv/a/p"}]}, '
    "network: {allow: [{host: a.example, protocols: [https], methods: [GET]}], deny: [{host: b.example}]}, "
    "environment: {allow: [{key: LANG}, {key: MODE, value: x}], deny: [{key: SECRET}]}}"
)


@pytest.mark.parametrize(
    ("found", "allowed", "words"),
    [
        (explain_file(EXPLAINED, "/srv/a/x", Access.READ), True, "allowed by p.yaml:2:"),
        (explain_file(EXPLAINED, "/srv/a/p", Access.READ), False, "denied, by p.yaml:2:"),
        (explain_file(EXPLAINED, "/srv/a/x", Access.READ | Access.WRITE), False, "write denied, no line allows it"),
        (explain_file(EXPLAINED, "/etc/passwd", Access.READ), False, "no line allows it"),
        (explain_url(EXPLAINED, "https://a.example/x"), True, "allowed by p.yaml:2:"),
        (explain_url(EXPLAINED, "https://a.example/x", "POST"), False, "denied"),
        (explain_url(EXPLAINED, "http://a.example/x"), False, "denied"),
        (explain_url(EXPLAINED, "https://b.example/"), False, "denied"),
        (explain_url(EXPLAINED, "ftp://a.example/"), False, "only http, https and tcp"),
        (explain_url(EXPLAINED, "https://a.example:99999/"), False, "is no URL"),
        (explain_environment(EXPLAINED, "LANG"), True, "the host's value"),
        (explain_environment(EXPLAINED, "MODE"), True, "the value written there"),
        (explain_environment(EXPLAINED, "SECRET"), False, "by p.yaml:2:"),
        (explain_environment(EXPLAINED, "OTHER"), False, "no line allows it"),
    ],
)
def test_an_answer_says_whether_and_which_line(found: Any, allowed: bool, words: str) -> None:
    assert found.allowed is allowed
    assert words in found.line


def denial(code: Code, target: dict[str, Any], **more: Any) -> Denial:
    return Denial(code, target, "", **more)


def file_denial(guest: str, host: str, access: list[str], **more: Any) -> Denial:
    private = {"host_path": host, "access": access}
    return denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": guest, "operation": "write"}, private=private, **more)


@pytest.mark.parametrize(
    "refused",
    [
        file_denial("/srv/a", "/srv/a", ["read"], origin="p.yaml:1:1"),
        file_denial("/proc/1/mem", "/proc/1/mem", ["read"]),
        file_denial("/", "/", ["read"]),
        file_denial("/srv/a\nb", "/srv/a\nb", ["read"]),
        file_denial("/srv/a%2e", "/srv/a%2e", ["read"]),
        denial(Code.NETWORK_ACCESS_DENIED, {"host": "a_b..c", "port": 443, "scheme": "https"}),
        denial(Code.NETWORK_ACCESS_DENIED, {"host": "a.example", "port": 443, "scheme": "https"}, origin="p.yaml:1:1"),
        denial(Code.NETWORK_ACCESS_DENIED, {"host": "169.254.169.254", "port": 80, "scheme": "http"}),
        denial(Code.RESOURCE_LIMIT_EXCEEDED, {"resource": "fuel", "limit": 5}),
        denial(Code.CRASHED, {}),
    ],
)
def test_no_grant_is_named_where_none_would_help(refused: Denial) -> None:
    assert grant_for(refused, WasiTemplate()) is None


def test_the_smallest_storage_grant_is_one_file_and_the_client_sees_its_own_name_alone() -> None:
    smallest = grant_for(file_denial("/data/[id].ts", "/srv/secret place/[id].ts", ["write", "create"]), WasiTemplate())
    assert smallest is not None
    assert smallest.entry == {
        "uri": "fs:///srv/secret place/[[]id].ts",
        "access": ["write", "create"],
        "mount": "/data/[id].ts",
    }
    assert smallest.for_client == {"path": "/data/[id].ts", "access": ["write", "create"]}


def test_a_granted_denial_is_allowed_by_the_rules_it_makes() -> None:
    smallest = grant_for(file_denial("/srv/a", "/srv/a", ["read"]), WasiTemplate())
    assert smallest is not None
    assert smallest.entry == {"uri": "fs:///srv/a", "access": ["read"]}


def test_the_smallest_network_grant_is_one_request() -> None:
    target = {"scheme": "https", "host": "a.example", "port": 8443, "method": "GET", "path": "/v1/x?q=1"}
    smallest = grant_for(denial(Code.NETWORK_ACCESS_DENIED, target), WasiTemplate())
    assert smallest is not None
    assert smallest.entry == {
        "host": "a.example",
        "ports": [8443],
        "protocols": ["https"],
        "methods": ["GET"],
        "paths": ["/v1/x"],
    }
    made = template(f"{{network: {{allow: [{smallest.entry}]}}}}")
    assert explain_url(made, "https://a.example:8443/v1/x").allowed
    assert not explain_url(made, "https://a.example:8443/v1/y").allowed


def test_a_name_that_led_to_a_private_address_needs_a_rule_for_the_address() -> None:
    target = {"scheme": "https", "host": "a.example", "port": 443, "method": "GET", "path": "/"}
    smallest = grant_for(denial(Code.NETWORK_ACCESS_DENIED, target, private={"address": "10.1.2.3"}), WasiTemplate())
    assert smallest is not None
    assert smallest.entry == {"cidr": "10.1.2.3/32", "ports": [443], "protocols": ["https"]}
    assert "10.1.2.3" not in str(smallest.for_client)


def test_an_address_is_granted_as_an_address() -> None:
    target = {"scheme": "http", "host": "192.0.2.7", "port": 80, "method": "GET", "path": "/"}
    smallest = grant_for(denial(Code.NETWORK_ACCESS_DENIED, target), WasiTemplate())
    assert smallest is not None
    assert smallest.entry["cidr"] == "192.0.2.7/32"


def test_a_variable_and_a_limit_are_granted_by_name() -> None:
    variable = grant_for(denial(Code.ENVIRONMENT_ACCESS_DENIED, {"variable": "LANG"}), WasiTemplate())
    limit = grant_for(denial(Code.RESOURCE_LIMIT_EXCEEDED, {"resource": "memory", "limit": 1}), WasiTemplate())
    assert variable is not None
    assert variable.entry == {"key": "LANG"}
    assert limit is not None
    assert limit.entry == {"memory": "512Mi"}
