"""Version "1.0": read with its own meaning, every line enforced, or refused whole."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument


def load(permissions: str) -> PolicyDocument:
    return load_policy(f'version: "1.0"\npermissions: {permissions}\n', file="p.yaml")


@pytest.mark.parametrize(
    ("permissions", "said"),
    [
        ("{storage: {allow: [{uri: fs:///a, access: [create]}]}}", "no access of version"),
        ("{storage: {allow: [{uri: fs:///a, access: [read], mount: /x}]}}", "unknown key `mount`"),
        ("{storage: {allow: [{uri: fs:///proc, access: [read]}]}}", "lies in `/proc`"),
        ("{storage: {allow: [{uri: fs:///, access: [read]}]}}", "begins at `/`"),
        ("{network: {allow: [{host: a.example, ports: [1]}]}}", "unknown key `ports`"),
        ('{network: {allow: [{host: "https://a.example/"}]}}', "is a URL"),
        ("{network: {allow: [{}]}}", "names no target"),
        ("{environment: {allow: [{key: A, value: b}]}}", "unknown key `value`"),
        ("{environment: {deny: [{key: A}]}}", "unknown key `deny`"),
        ("{resources: {limits: {memory: 512}}}", "`512` has no unit"),
        ("{resources: {limits: {memory: 512Mi, wall_time: 1s}}}", "unknown key `wall_time`"),
        ("{resources: {memory: 0}}", "`0` is no limit"),
        ("{resources: {memory: 512, limits: {memory: 512Mi}}}", "stands here twice, in two units"),
        ("{storage: {allow: [{uri: fs:///a/b, access: [read]}, {uri: fs:///a, access: [write]}]}}", "reads like a restriction"),
        ("{storage: {allow: [{uri: , access: [read]}]}}", "nothing stands here"),
    ],
)
def test_what_version_1_does_not_say_is_refused(permissions: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(permissions)
    assert said in str(caught.value)
    assert "p.yaml:2:" in str(caught.value)


def test_write_includes_create_and_delete() -> None:
    entry = load("{storage: {allow: [{uri: fs:///srv/x/**, access: [write]}]}}").permissions.storage.allow[0]
    assert entry.access == ("write", "create", "delete")


@pytest.mark.parametrize(
    ("uri", "meaning"),
    [
        ("fs:///srv/x", "fs:///srv/x/**"),
        ("fs:///srv/x/", "fs:///srv/x/**"),
        ("fs://work", "fs://work/**"),
        ("fs://~/notes", "fs://~/notes/**"),
        ("fs:///srv/{a,b}", "fs:///srv/{a,b}/**"),
        ("fs:///srv/x/**", "fs:///srv/x/**"),
        ("fs:///srv/*.csv", "fs:///srv/*.csv"),
        ("fs:///srv/x/*", "fs:///srv/x/*"),
    ],
)
def test_a_uri_without_a_glob_is_that_file_or_the_tree(uri: str, meaning: str) -> None:
    document = load(f'{{storage: {{allow: [{{uri: "{uri}", access: [read]}}], deny: [{{uri: "{uri}", access: [write]}}]}}}}')
    assert document.permissions.storage.allow[0].uri == meaning
    assert document.permissions.storage.deny[0].uri == meaning


def test_a_host_takes_any_port() -> None:
    document = load("{network: {allow: [{host: a.example}, {cidr: 10.0.0.0/8}], deny: [{host: b.example}]}}")
    assert [entry.port_ranges for entry in document.permissions.network.allow] == [((1, 65535),), ((1, 65535),)]
    assert document.permissions.network.deny[0].port_ranges is None


@pytest.mark.parametrize("memory", ["{limits: {memory: 512Mi}}", "{memory: 512}"])
def test_memory_is_read_in_both_spellings(memory: str) -> None:
    limits = load(f"{{resources: {memory}}}").permissions.resources.limits
    assert limits.written == {"memory": 512 << 20}
    assert limits.origin("memory").startswith("p.yaml:2:")


def test_empty_sections_are_as_if_not_there() -> None:
    document = load("{storage: , network: {allow: }, environment: , resources: {limits: }}")
    assert document.permissions == load_policy('version: "2.0"', file="p").permissions


def test_entries_know_their_lines() -> None:
    text = 'version: "1.0"\npermissions:\n  network:\n    allow:\n      - host: a.example\n      - host: b.example\n'
    document = load_policy(text, file="old.yaml")
    assert [entry.origin for entry in document.permissions.network.allow] == ["old.yaml:5:9", "old.yaml:6:9"]
    assert document.written_version == "1.0"
