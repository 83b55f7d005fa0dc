"""Two templates beside each other: every example is true, and where decisions differ there is one."""

from __future__ import annotations

import json
import os
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from sandbox.errors import PolicyError
from sandbox.policy.globs import expand, matches
from sandbox.policy.load import load_policy
from sandbox.policy.units import show_size
from sandbox.template.compare import differences
from sandbox.template.environment import EnvironmentRules
from sandbox.template.examples import Difference
from sandbox.template.examples_files import size_at
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.samples import paths
from sandbox.template.template import Access, WasiTemplate
from tests.support.documents import PATTERN, documents
from tests.template.compiling import compiled, compiled_document, storage

EXAMPLES = int(os.environ.get("SANDBOX_TEST_EXAMPLES", "20"))
# Without shrinking, which takes minutes here: a failure shows its documents, and they are small.
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
BITS = {"read": Access.READ, "write": Access.WRITE, "create": Access.CREATE, "delete": Access.DELETE}
SMALL = ["a", "b", "ab", "ba", "c", "abc", "example"]
TREE = [f"/srv/{one}{two}" for one in SMALL for two in ["", *(f"/{name}" for name in SMALL)]] + ["/srv/a/b/c", "/srv/a/b/c/d"]


def template(document: dict[str, Any]) -> WasiTemplate:
    try:
        return compiled_document(load_policy(json.dumps(document), file="p.yaml")).template
    except PolicyError:
        assume(False)
        raise


def is_true(found: Difference, left: WasiTemplate, right: WasiTemplate) -> bool:
    """Whether the two templates, asked the ordinary way, say of the example what the difference says."""
    verdicts = []
    for side in (left, right):
        match found.kind:
            case "storage":
                words, _, path = found.example.rpartition(" ")
                if " at " in found.example:
                    field = "max_file_bytes" if words.startswith("a file") else "max_total_bytes"
                    size, _ = size_at(side.files, path, field)
                    assert FileRules(side.files).access(path) & (Access.WRITE | Access.CREATE)
                    verdicts.append((size is None) if "and more" in words else show_size(size or 0) in words)
                    continue
                judged = {FileRules(side.files).decide(path, BITS[word]).allowed for word in words.split(" and ")}
                verdicts.append(judged.pop() if len(judged) == 1 else None)
            case "network":
                method, url, address = re.fullmatch(r"(\S+) (\S+)(?: where the name leads to (\S+))?", found.example).groups()
                verdicts.append(reaches(NetworkRules(side.network), method, url, address))
                if found.left.allowed and found.right.allowed:
                    return found.left.says != found.right.says
            case "environment":
                verdicts.append(EnvironmentRules(side.environment).decide(found.example).allowed)
    return verdicts == [found.left.allowed, found.right.allowed] if verdicts else found.left.says != found.right.says


def reaches(rules: NetworkRules, method: str, url: str, address: str | None) -> bool:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    if not rules.decide(parts.scheme, parts.hostname or "", port, method, parts.path).allowed:
        return False
    if address is None:
        return True
    asked = {"scheme": parts.scheme, "method": method, "path": parts.path}
    return rules.decide_address(parts.hostname or "", port, ip_address(address), **asked).allowed


@given(documents(), documents())
@QUICK
def test_every_example_is_true_of_both(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = template(one), template(other)
    found = differences(left, right)
    assert found.complete
    assert all(is_true(each, left, right) for each in found.found)
    assert {each.kind for each in found.found} == {each.kind for each in differences(right, left).found}


@given(documents())
@QUICK
def test_a_policy_is_no_different_from_itself(document: dict[str, Any]) -> None:
    assert differences(template(document), template(document)).found == ()


@given(documents(storage=True), documents(storage=True))
@QUICK
def test_no_path_is_judged_differently_where_no_example_is_given(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = template(one), template(other)
    ours, theirs = FileRules(left.files), FileRules(right.files)
    apart = [path for path in TREE if ours.access(path) != theirs.access(path)]
    assert not apart or any(each.kind == "storage" for each in differences(left, right).found)


@given(documents(network=True), documents(network=True))
@QUICK
def test_no_request_is_judged_differently_where_no_example_is_given(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = template(one), template(other)
    urls = [
        f"{scheme}://{host}{port}{path}"
        for scheme in ("https", "http")
        for host in ("a.test", "x.a.test", "z.org", "10.1.2.3", "93.1.1.1")
        for port in ("", ":8443")
        for path in ("/", "/a", "/b/x")
    ]
    asked = [(method, url, None) for method in ("GET", "POST", "DELETE") for url in urls]
    asked += [("GET", url, address) for url in urls[:18] for address in ("93.1.1.1", "10.1.2.3", "8.8.8.8")]
    ours, theirs = NetworkRules(left.network), NetworkRules(right.network)
    apart = [question for question in asked if reaches(ours, *question) != reaches(theirs, *question)]
    assert not apart or any(each.kind == "network" for each in differences(left, right).found), apart[0]


@given(documents(environment=True), documents(environment=True))
@QUICK
def test_no_variable_is_shown_differently_where_no_example_is_given(one: dict[str, Any], other: dict[str, Any]) -> None:
    left, right = template(one), template(other)
    ours, theirs = EnvironmentRules(left.environment), EnvironmentRules(right.environment)
    asked = [(judge.decide(name), name) for judge in (ours, theirs) for name in ("A", "B", "AB", "AX", "XB", "X")]
    shown = [(said.allowed, said.value, name) for said, name in asked]
    assert shown[:6] == shown[6:] or any(each.kind == "environment" for each in differences(left, right).found)


@given(PATTERN)
@QUICK
def test_samples_are_of_their_pattern(pattern: list[str]) -> None:
    for one in expand("/".join(pattern)):
        segments = tuple(one.split("/"))
        made = paths(segments)
        assert made
        assert all(matches(segments, tuple(path.split("/")[1:])) for path in made)


BEFORE = """{
    storage: {allow: [{uri: "fs:///srv/a/**", access: [read]}, {uri: "fs://~/n/*.md", access: [read]}], deny: [{uri: fs:///srv/a/secret/**}]},
    network: {allow: [{host: "*.example.com", methods: [GET]}, {host: x.test}]},
    environment: {allow: [{key: LANG}, {key: W_*}]}}"""
AFTER = """{
    storage: {allow: [{uri: "fs:///srv/a/**", access: [read, write], mount: /work}], deny: [{uri: "fs:///srv/a/secret/*.key"}]},
    network: {allow: [{host: "*.example.com", ports: [443, 8443]}, {host: x.test, paths: ["/v1/**"]}],
      deny: [{cidr: 93.0.0.0/8}]},
    environment: {allow: [{key: LANG, value: C}, {key: W_ONE}]},
    resources: {limits: {memory: 64Mi, fuel: 100}}}"""


@pytest.mark.parametrize(
    ("example", "left", "right"),
    [
        ("write /srv/a/example", "no line allows it", "allowed"),
        ("read and write /srv/a/secret/example", "denied", "allowed"),
        ("read /home/me/n/example.md", "allowed", "no line allows it"),
        ("/work", "nothing", "/srv/a"),
        ("GET http://www.example.com/", "allowed", "no rule for `www.example.com` allows port 80"),
        ("POST https://www.example.com/", "no rule for `www.example.com` allows method POST", "allowed"),
        ("GET https://x.test/", "allowed", "the path is in no rule's `paths`, for `x.test`"),
        ("GET https://www.example.com/ where the name leads to 93.184.215.14", "allowed", "a deny rule names the address"),
        ("LANG", "the host's value", "the value written there"),
        ("W_example", "the host's value", "no line allows it"),
        ("memory 256Mi", "256Mi", "64Mi"),
        ("fuel without end", "no limit", "100"),
    ],
)
def test_an_example_says_what_a_person_would_try(example: str, left: str, right: str) -> None:
    one, other = compiled(BEFORE).template, compiled(AFTER).template
    found = {each.example: each for each in differences(one, other).found}
    assert example in found, sorted(found)
    assert (found[example].left.says, found[example].right.says) == (left, right)
    assert is_true(found[example], one, other)


def test_how_far_a_file_may_grow_is_compared_too() -> None:
    entry = 'storage: {allow: [{uri: "fs:///srv/a/**", access: [read, write], %s}]}'
    one = compiled("{" + entry % "max_file_size: 1Mi, max_total_size: 8Mi" + "}").template
    other = compiled("{" + entry % "max_file_size: 2Mi" + "}").template
    found = {each.example: (each.left.says, each.right.says) for each in differences(one, other).found}
    assert found["a file of 2Mi at /srv/a/example"] == ("up to 1Mi", "up to 2Mi")
    assert found["files of 8Mi and more at /srv/a/example"] == ("up to 8Mi", "any size")


def test_a_credential_is_a_difference_between_two_lines_that_allow() -> None:
    entry = "network: {allow: [{host: a.test, protocols: [https]%s}]}"
    one = compiled("{" + entry % "" + "}").template
    other = compiled("{" + entry % ", credential: {secret: TOKEN, header: Authorization}" + "}").template
    (found,) = differences(one, other).found
    assert found.example == "GET https://a.test/"
    assert (found.left.says, found.right.says) == (
        "allowed, without a credential",
        "allowed, with the secret TOKEN in Authorization as `{secret}`",
    )


def test_a_line_that_only_moved_is_no_difference() -> None:
    one = compiled(storage("fs:///srv/a/**", "fs:///srv/b/**")).template
    other = compiled(storage("fs:///srv/b/**", "fs:///srv/a/**", "fs:///srv/a/x")).template
    assert differences(one, other).found == ()


def test_more_lines_than_anyone_waits_for_are_said_to_be_so() -> None:
    one = compiled(storage(*(f"fs:///srv/{number}/*a" for number in range(300)))).template
    other = compiled(storage(*(f"fs:///srv/{number}/*b" for number in range(300)))).template
    found = differences(one, other)
    assert found.found
    assert not found.complete


@pytest.mark.parametrize(
    ("shared", "more", "example"),
    [
        (
            'storage: {allow: [{uri: "fs:///srv/report-9.txt", access: [read]}]',
            'deny: [{uri: "fs:///srv/re*"}]',
            "read /srv/report-9.txt",
        ),
        ('storage: {allow: [{uri: "fs:///srv/**/q/x", access: [read]}]', 'deny: [{uri: "fs:///srv/q/**"}]', "read /srv/q/x"),
        ("network: {allow: [{host: q.a.test, protocols: [https]}]", 'deny: [{host: "*.test"}]', "GET https://q.a.test/"),
        (
            "network: {allow: [{host: a.test, protocols: [https], ports: [8765], paths: [/v1/users]}]",
            'deny: [{host: a.test, ports: ["8000-9000"], paths: ["/v1/u*"]}]',
            "GET https://a.test:8765/v1/users",
        ),
        ("network: {allow: [{host: a.test, methods: [PUT]}]", "deny: [{host: a.test}]", "PUT https://a.test/"),
        ("environment: {allow: [{key: PLACE_9}]", "deny: [{key: PL*}]", "PLACE_9"),
    ],
)
def test_a_line_is_tried_on_what_only_another_line_names(shared: str, more: str, example: str) -> None:
    one, other = compiled(f"{{{shared}}}}}").template, compiled(f"{{{shared}, {more}}}}}").template
    found = {each.example: each for each in differences(one, other).found}
    assert example in found, sorted(found)
    assert (found[example].left.allowed, found[example].right.allowed) == (True, False)
