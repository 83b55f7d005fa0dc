"""What an entry may not say: a refusal for each, with the text and what to write instead."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy


def problems(permissions: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(f'version: "2.0"\npermissions: {permissions}\n', file="p.yaml")
    assert all(problem.help for problem in caught.value.problems)
    return str(caught.value)


def storage(uri: str, *, access: str = "[read]", more: str = "", effect: str = "allow") -> str:
    quoted = uri.replace("\\", "\\\\")
    return f'{{storage: {{{effect}: [{{uri: "{quoted}", access: {access}{more}}}]}}}}'


@pytest.mark.parametrize(
    "uri",
    [
        "fs:///proc",
        "fs:///proc/self/**",
        "fs:///sys/**",
        "fs:///dev/null",
        "fs:///dev/shm/**",
        "fs:///run/**",
        "fs:///./proc//self",
    ],
)
def test_fs_11_a_grant_in_a_tree_of_the_kernel_is_refused(uri: str) -> None:
    assert "the kernel's or a service's" in problems(storage(uri))


@pytest.mark.parametrize(
    "uri", ["fs:///", "fs:///**", "fs:///*", "fs:///*/x", "fs:///{etc,srv}*/x", "fs:///[a-z]*/**", "fs:///.//"]
)
def test_fs_11_a_grant_that_begins_at_the_root_is_refused(uri: str) -> None:
    assert "begins at `/`" in problems(storage(uri))


def test_a_choice_does_not_hide_a_tree_of_the_kernel() -> None:
    assert "lies in `/proc`" in problems(storage("fs:///{srv,proc}/x"))
    assert "lies in `/proc`" in problems(storage("fs:///[p]roc/x"))


def test_a_deny_may_name_any_place() -> None:
    document = load_policy('version: "2.0"\npermissions: {storage: {deny: [{uri: "fs:///**"}]}}', file="p")
    assert document.permissions.storage.deny[0].access == ("read", "write", "create", "delete")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("/srv/data", "write `fs:///srv/data`"),
        ("file:///srv/data", "write `fs:///srv/data`"),
        ("https://x/y", "storage is granted by `fs://`"),
        ("fs:///srv/../etc", "has `..`"),
        ("fs:///srv/{..,a}/etc", "has `..`"),
        ("fs:///srv/[.][.]/etc", "has `..`"),
        ("fs://../x", "has `..`"),
        ("fs:///srv/%2e%2e/etc", "percent-encoded"),
        ("fs:///srv/a\\b", "backslash"),
        ("fs:///srv/${X}/b", "has a `$` inside"),
        ("fs://${X}y/b", "has a `$` inside"),
        ("fs://~root/x", "another user's home"),
        ("fs:///srv/a**", "has `**` beside other characters"),
        ("fs:///srv/{*,b}*", "has `**` beside other characters"),
        ("fs:///srv/{a,{b,c}}", "braces inside braces"),
        ("fs:///srv/{a/b,c}", "a `/` inside braces"),
        ("fs:///srv/{a,b", "a `{` that is not closed"),
        ("fs:///srv/[a", "a `[` that is not closed"),
        ("fs:///srv/[]", "a `[` that is not closed"),
        ("fs:///srv/[!a]", "a negated set"),
        ("fs:///srv/[z-a]", "the backward range"),
        ("fs:///srv/" + "{a,b}" * 7, "stands for more than 64 patterns"),
        ("fs:///srv" + "/a" * 200, "too many names"),
        ("fs:///srv" + "/**/a" * 5, "too many names"),
        ("fs:///srv/" + "a" * 5000, "too long"),
    ],
)
def test_a_uri_with_two_readings_is_refused(uri: str, said: str) -> None:
    assert said in problems(storage(uri))


@pytest.mark.parametrize("char", ["\\u0000", "\\n", "\\u202e", "\\u200b"])
def test_a_uri_with_a_control_character_is_refused(char: str) -> None:
    text = f'{{storage: {{allow: [{{uri: "fs:///srv/a{char}b", access: [read]}}]}}}}'
    assert "control character" in problems(text) or "may not stand in YAML" in problems(text)


@pytest.mark.parametrize("mount", ["/", "data", "/data/", "/a//b", "/a/../b", "/a/./b", "/a*", "/a?", "/**"])
def test_a_mount_is_a_plain_absolute_path(mount: str) -> None:
    assert "permissions.storage.allow[0].mount" in problems(storage("fs:///srv/a/**", more=f', mount: "{mount}"'))


def test_a_deny_has_no_mount() -> None:
    assert "unknown key `mount`" in problems(storage("fs:///srv/a/**", more=", mount: /x", effect="deny"))


@pytest.mark.parametrize("access", ["[]", "read", "[read, read]", "[Read]", "[rw]", "[7]", "{read: true}"])
def test_access_is_a_list_of_its_words(access: str) -> None:
    assert "permissions.storage.allow[0].access" in problems(storage("fs:///srv/a", access=access))


def test_one_mount_is_one_folder() -> None:
    text = "{storage: {allow: [{uri: fs:///a/b/**, access: [read], mount: /m}, {uri: fs:///c/d/**, access: [read], mount: /m}]}}"
    assert "`/m` is another folder at p.yaml:2:" in problems(text)


@pytest.mark.parametrize(
    ("narrow", "wide", "none"),
    [
        ("{uri: fs:///a/b, access: [read]}", "{uri: fs:///a/**, access: [write]}", True),
        ("{uri: fs:///a/b/**, access: [read]}", "{uri: fs:///a/**, access: [read, write]}", True),
        ('{uri: "fs:///a/*.csv", access: [read]}', '{uri: "fs:///a/*", access: [read, delete]}', True),
        ('{uri: "fs:///a/{x,y}/b", access: [read]}', '{uri: "fs:///a/*/b", access: [read, delete]}', True),
        ("{uri: fs://~/n/a, access: [read]}", "{uri: fs://~/n/**, access: [read, write]}", True),
        ("{uri: fs://n/a, access: [read]}", "{uri: fs://n/**, access: [read, write]}", True),
        ("{uri: fs:///a/b, access: [read, write]}", "{uri: fs:///a/**, access: [read]}", False),
        ("{uri: fs:///a/b, access: [read]}", "{uri: fs:///a/**, access: [read]}", False),
        ("{uri: fs:///a/**, access: [read]}", "{uri: fs:///a/**, access: [write]}", False),
        ("{uri: fs:///a/b, access: [read]}", "{uri: fs:///c/**, access: [write]}", False),
        ("{uri: fs://n/a, access: [read]}", "{uri: fs:///n/**, access: [write]}", False),
        ('{uri: "fs:///a/*.csv", access: [read]}', '{uri: "fs:///a/*.txt", access: [write]}', False),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_an_allow_that_reads_like_a_restriction_but_is_none_is_refused(narrow: str, wide: str, none: bool, turned: bool) -> None:
    lines = f"{wide}, {narrow}" if turned else f"{narrow}, {wide}"
    text = f"{{storage: {{allow: [{lines}]}}}}"
    if none:
        assert "reads like a restriction but is none" in problems(text)
    else:
        load_policy(f'version: "2.0"\npermissions: {text}', file="p.yaml")


@pytest.mark.parametrize(
    ("narrow", "wide", "none"),
    [
        ("{host: a.example, methods: [GET]}", "{host: a.example}", True),
        ("{host: a.example, methods: [GET]}", '{host: "*.example"}', True),
        ('{host: a.example, paths: ["/v1/**"]}', '{host: "*"}', True),
        ("{cidr: 10.1.0.0/16, ports: [443]}", "{cidr: 10.0.0.0/8, ports: any}", True),
        ("{host: a.example, methods: [POST]}", "{host: a.example, methods: [GET]}", False),
        ("{host: a.example, ports: [8443]}", "{host: a.example}", False),
        ("{host: a.example}", '{host: "*.example"}', False),
        ("{host: example, methods: [GET]}", '{host: "*.example"}', False),
        ("{host: a.example, methods: [GET]}", '{host: "*.example", methods: [GET]}', False),
    ],
)
def test_a_network_allow_that_reads_like_a_restriction_but_is_none_is_refused(narrow: str, wide: str, none: bool) -> None:
    text = f"{{network: {{allow: [{narrow}, {wide}]}}}}"
    if none:
        assert "reads like a restriction but is none" in problems(text)
    else:
        load_policy(f'version: "2.0"\npermissions: {text}', file="p.yaml")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{}", "names no target"),
        ("{host: a.example, cidr: 10.0.0.0/8}", "a `host` and a `cidr`"),
        ('{host: "api.example.com:443"}', "write `host: api.example.com` and `ports: [443]`"),
        ('{host: "https://api.example.com/v1"}', "write `host: api.example.com`"),
        ("{host: api.example.com/v1}", "has a path"),
        ('{host: "user@api.example.com"}', "has a user in it"),
        ("{host: API.example.com}", "write `api.example.com`"),
        ("{host: api.example.com.}", "write `api.example.com`"),
        ("{host: a..b}", "is no host name"),
        ("{host: -a.example}", "is no host name"),
        ('{host: ".example.com"}', "is no host name"),
        ('{host: ""}', "is no host name"),
        ('{host: "*example.com"}', "a wildcard inside"),
        ('{host: "a.*.com"}', "a wildcard inside"),
        ('{host: "*.*.com"}', "a wildcard inside"),
        ("{host: bücher.example}", "write `xn--bcher-kva.example`"),
        ("{host: 127.0.0.1}", "write `cidr: 127.0.0.1/32`"),
        ('{host: "[::1]"}', "write `cidr: ::1/128`"),
        ('{host: "2130706433"}', "an odd spelling of an address"),
        ("{host: 0x7f.1}", "an odd spelling of an address"),
        ("{host: 127.1}", "permissions.network.allow[0].host"),
        ("{host: 017700000001.0x1}", "an odd spelling of an address"),
        ("{cidr: 10.1.2.3/16}", "write `10.1.0.0/16`"),
        ("{cidr: 10.1.0.0}", "write `10.1.0.0/32`"),
        ("{cidr: 10.1/16}", "is no address range"),
        ('{cidr: "::ffff:0:0/96"}', "IPv4 addresses in IPv6"),
        ('{cidr: "::ffff:7f00:1/128"}', "permissions.network.allow[0].cidr"),
        ("{cidr: 169.254.169.254/32}", "metadata service, which no rule reaches"),
        ("{cidr: 169.254.42.42/32}", "metadata service, which no rule reaches"),
        ('{cidr: "fd00:ec2::254/128"}', "metadata service, which no rule reaches"),
        ("{host: a.example, ports: []}", "the list is empty"),
        ("{host: a.example, ports: 443}", "write `ports: […]`"),
        ("{host: a.example, ports: [0]}", "is no port or range"),
        ("{host: a.example, ports: [65536]}", "is no port or range"),
        ("{host: a.example, ports: [443, 0, 65536]}", "ports[1]: `0` is no port or range"),
        ("{host: a.example, ports: [443, 0, 65536]}", "ports[2]: `65536` is no port or range"),
        ('{host: a.example, ports: ["9-8"]}', "is no port or range"),
        ('{host: a.example, ports: ["443"]}', "write the number: `443`"),
        ("{host: a.example, ports: [443, 443]}", "stands here twice"),
        ("{host: a.example, protocols: [HTTPS]}", "did you mean `https`?"),
        ("{host: a.example, protocols: [ftp]}", "is no protocol"),
        ("{host: a.example, protocols: [https, udp]}", "`udp` is not carried"),
        ("{host: a.example, protocols: [tcp]}", "name them: `ports: [5432]`"),
        ("{host: a.example, ports: [80], protocols: [http, tcp], methods: [GET]}", "`methods` are of requests"),
        ("{host: a.example, ports: [80], protocols: [tcp], paths: [/x]}", "`paths` are of requests"),
        ("{host: a.example, methods: [get]}", "write `GET`"),
        ("{host: a.example, methods: [CONNECT]}", "opens a tunnel"),
        ('{host: a.example, methods: ["G T"]}', "is no HTTP method"),
        ("{host: a.example, paths: [v1]}", "write `/v1`"),
        ("{host: a.example, paths: [/v1/../admin]}", "has `.`, `..` or an empty name"),
        ("{host: a.example, paths: [/v1//x]}", "has `.`, `..` or an empty name"),
        ('{host: a.example, paths: ["/v1/%2e%2e/admin"]}', "percent-encoded"),
        ('{host: a.example, paths: ["/v1#x"]}', "a character that no path has"),
        ('{host: a.example, paths: ["/v1/a**"]}', "has `**` beside other characters"),
    ],
)
def test_a_network_entry_with_two_readings_is_refused(entry: str, said: str) -> None:
    assert said in problems(f"{{network: {{allow: [{entry}]}}}}")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{key: A=B}", "is no variable's name"),
        ('{key: ""}', "is no variable's name"),
        ("{key: 1A}", "is no variable's name"),
        ("{key: A-B}", "is no variable's name"),
        ("{key: ÄB}", "is no variable's name"),
        ("{key: A**}", "has `**` beside other characters"),
        ("{key: A_*, value: x}", "one value cannot be theirs"),
        ('{key: A, value: "a\\0b"}', "no NUL"),
        ("{key: A, value: 1}", 'quote it: `value: "1"`'),
        ("{key: A, value: yes}", 'quote it: `value: "yes"`'),
        ("{}", "`key` is missing"),
    ],
)
def test_an_environment_entry_with_two_readings_is_refused(entry: str, said: str) -> None:
    assert said in problems(f"{{environment: {{allow: [{entry}]}}}}")


def test_one_variable_has_one_value() -> None:
    assert "`A` has another value at" in problems("{environment: {allow: [{key: A, value: x}, {key: A, value: y}]}}")


def test_a_denied_variable_has_no_value() -> None:
    assert "unknown key `value`" in problems("{environment: {deny: [{key: A, value: x}]}}")


@pytest.mark.parametrize(
    "limit",
    [
        "memory: 64",
        "memory: 64MB",
        "memory: 64M",
        "memory: 0Mi",
        "memory: 1.5Mi",
        "memory: -1Mi",
        'memory: " 64Mi"',
        "memory: ٦٤Mi",
        "memory: 99999999Gi",
        "cpu_time: 2",
        "cpu_time: 2 s",
        "cpu_time: 0s",
        "cpu_time: 1m30s",
        "wall_time: 25h",
        "fuel: 0",
        "fuel: -5",
        "fuel: 1.5",
        "fuel: 10Mi",
        "fuel: yes",
        "open_files: 0",
        "open_files: 70000",
        'open_files: "64"',
        "concurrency: 0",
        "concurrency: 2000",
        "cpu: 500",
        "cpu: 0.5",
        "cpu: 5m",
        "cpu: 0500m",
        "cpu: 500M",
        "output: 1MB",
        "stdio: []",
    ],
)
def test_a_limit_without_a_clear_number_is_refused(limit: str) -> None:
    assert f"permissions.resources.limits.{limit.partition(':')[0]}" in problems(f"{{resources: {{limits: {{{limit}}}}}}}")


def test_more_lines_than_can_be_compared_are_refused_rather_than_half_looked_at() -> None:
    lines = "".join(f'\n      - {{uri: "fs:///a/*x{n}", access: [read]}}' for n in range(1000))
    with pytest.raises(PolicyError, match="too many lines about the same place"):
        load_policy(f'version: "2.0"\npermissions:\n  storage:\n    allow:{lines}\n', file="p.yaml")


@pytest.mark.parametrize(
    ("permissions", "warning"),
    [
        (
            "{storage: {allow: [{uri: fs:///a/b, access: [read]}], deny: [{uri: fs:///a/**, access: [read]}]}}",
            "is allowed in vain",
        ),
        (
            "{storage: {allow: [{uri: fs:///a/b, access: [read, write]}], "  # noqa: ISC004
            "deny: [{uri: fs:///a/**, access: [read]}, {uri: fs:///a/*, access: [write]}]}}",
            "is allowed in vain",
        ),
        ('{network: {allow: [{host: a.example}], deny: [{host: "*.example"}]}}', "is allowed in vain"),
        ("{environment: {allow: [{key: A_B}], deny: [{key: A_*}]}}", "is allowed in vain"),
        ('{network: {allow: [{host: "*"}]}}', "`*` allows every public address"),
        ('{network: {allow: [{host: "*.com"}]}}', "a whole top-level domain"),
        ("{network: {allow: [{host: localhost}]}}", "`localhost` is this machine"),
        ('{environment: {allow: [{key: "*"}]}}', "shows every variable of the host"),
    ],
)
def test_what_is_allowed_and_probably_not_meant_is_a_warning(permissions: str, warning: str) -> None:
    document = load_policy(f'version: "2.0"\npermissions: {permissions}', file="p.yaml")
    assert len(document.warnings) == 1
    assert warning in document.warnings[0]
    assert document.warnings[0].startswith("p.yaml:2:")


def test_a_deny_that_takes_a_part_is_no_warning() -> None:
    text = "{storage: {allow: [{uri: fs:///a/**, access: [read]}], deny: [{uri: fs:///a/b/**, access: [read]}]}}"
    assert load_policy(f'version: "2.0"\npermissions: {text}', file="p.yaml").warnings == ()
