"""The ceiling: the effective policy is what document and ceiling have in common, exactly, and never more."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import PolicyError
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.template import Preopen
from tests.template.compiling import compiled, refused, storage


@pytest.mark.parametrize(
    ("document", "ceiling"),
    [
        (storage("fs:///etc/x/**"), storage("fs:///srv/**")),
        (storage("fs:///srv/a/**", access="[write]"), storage("fs:///srv/**")),
        (storage("fs:///srv/a.txt"), storage("fs:///srv/*.csv")),
        (storage("fs:///srv/a/**"), "{}"),
        ("{network: {allow: [{host: b.example}]}}", "{network: {allow: [{host: a.example}]}}"),
        ("{network: {allow: [{host: a.example, ports: [8080]}]}}", "{network: {allow: [{host: a.example}]}}"),
        ("{network: {allow: [{host: a.example, methods: [POST]}]}}", "{network: {allow: [{host: a.example, methods: [GET]}]}}"),
        (
            '{network: {allow: [{host: a.example, paths: ["/v2/**"]}]}}',
            '{network: {allow: [{host: a.example, paths: ["/v1/**"]}]}}',
        ),
        ("{network: {allow: [{host: example}]}}", '{network: {allow: [{host: "*.example"}]}}'),
        ("{network: {allow: [{cidr: 10.0.0.0/8}]}}", '{network: {allow: [{host: "*"}]}}'),
        ("{network: {allow: [{cidr: 11.0.0.0/8}]}}", "{network: {allow: [{cidr: 10.0.0.0/8}]}}"),
        ("{network: {allow: [{host: a.example}]}}", "{}"),
    ],
)
def test_a_line_wholly_outside_is_refused_with_its_line(document: str, ceiling: str) -> None:
    said = refused(document, ceiling)
    assert "is outside the ceiling" in said
    assert "p.yaml:2:" in said
    assert "the ceiling allows" in said


@pytest.mark.parametrize(
    ("asked", "most", "numbers"),
    [
        ("memory: 65Mi", "memory: 64Mi", ("65Mi", "64Mi")),
        ("cpu_time: 2s", "cpu_time: 1999ms", ("2s", "1999ms")),
        ("wall_time: 1h", "wall_time: 59m", ("1h", "59m")),
        ("fuel: 6", "fuel: 5", ("6", "5")),
        ("output: 2Mi", "output: 1Mi", ("2Mi", "1Mi")),
        ("stdio: 65Ki", "stdio: 64Ki", ("65Ki", "64Ki")),
        ("open_files: 65", "open_files: 64", ("65", "64")),
        ("concurrency: 5", "concurrency: 4", ("5", "4")),
    ],
)
def test_a_limit_above_the_ceiling_is_refused_with_both_numbers(asked: str, most: str, numbers: tuple[str, str]) -> None:
    said = refused(f"{{resources: {{limits: {{{asked}}}}}}}", f"{{resources: {{limits: {{{most}}}}}}}")
    assert f"`{numbers[0]}` is above the ceiling's `{numbers[1]}`" in said
    compiled(f"{{resources: {{limits: {{{most}}}}}}}", f"{{resources: {{limits: {{{most}}}}}}}")


def test_a_limit_that_nobody_wrote_is_the_ceilings() -> None:
    limits = compiled("{}", "{resources: {limits: {memory: 1Gi, wall_time: 5s, fuel: 9}}}").template.limits
    assert (limits.memory_bytes, limits.wall_time_ms, limits.fuel, limits.cpu_time_ms) == (1 << 30, 5000, 9, 10_000)
    assert limits.origin("fuel").startswith("most.yaml:2:")


def test_an_overlap_that_no_rule_can_say_is_refused() -> None:
    assert "in a way that no rule can say" in refused(storage("fs:///srv/a*"), storage("fs:///srv/*b"))
    paths = '{{network: {{allow: [{{host: a.example, paths: ["/{}"]}}]}}}}'
    assert "in a way that no rule can say" in refused(paths.format("a*"), paths.format("*b"))
    assert "in a way that no rule can say" in refused(
        "{environment: {allow: [{key: A*}]}}", "{environment: {allow: [{key: '*B'}]}}"
    )


def test_a_line_that_reaches_further_is_narrowed_with_a_warning() -> None:
    done = compiled(
        '{storage: {allow: [{uri: "fs:///srv/**", access: [read, write], mount: /s}]}}',
        storage("fs:///srv/a/**", "fs:///srv/b/*"),
    )
    assert [(rule.pattern, rule.access.words) for rule in done.template.files] == [
        ("/srv/a/**", ("read",)),
        ("/srv/b/*", ("read",)),
    ]
    assert done.template.preopens == (Preopen("/srv/a", "/s/a", False), Preopen("/srv/b", "/s/b", False))
    assert len(done.warnings) == 1
    assert "the ceiling narrows `fs:///srv/**`" in done.warnings[0]
    assert done.warnings[0].startswith("p.yaml:2:")


def test_a_line_inside_is_left_as_it_is() -> None:
    done = compiled(storage("fs:///srv/a/**"), storage("fs:///srv/**", access="[read, write]"))
    assert done.template.files == compiled(storage("fs:///srv/a/**")).template.files
    assert done.warnings == ()


def test_pol_08_a_deny_of_the_ceiling_wins() -> None:
    done = compiled(
        '{storage: {allow: [{uri: "fs:///srv/a/**", access: [read]}]}, '
        "network: {allow: [{host: x.example}]}, environment: {allow: [{key: LANG}]}}",
        '{storage: {allow: [{uri: "fs:///srv/**", access: [read]}], deny: [{uri: "fs:///srv/a/p/**"}]}, '
        'network: {allow: [{host: "*"}], deny: [{host: x.example}]}, environment: {allow: [{key: "*"}], deny: [{key: LANG}]}}',
    )
    decision = FileRules(done.template.files).decide("/srv/a/p/q", done.template.files[0].access)
    assert not decision.allowed
    assert decision.origin is not None
    assert decision.origin.startswith("most.yaml:2:")
    assert not NetworkRules(done.template.network).decide("https", "x.example", 443).allowed
    assert done.template.denied_environment[0][0] == "LANG"


@pytest.mark.parametrize(
    ("host", "most", "narrow"),
    [
        ("a.example", "*.example", "a.example"),
        ("*.example", "a.example", "a.example"),
        ("*", "*.example", "*.example"),
        ("*.b.example", "*.example", "*.b.example"),
        ("a.example", "*", "a.example"),
    ],
)
def test_the_narrower_host_holds(host: str, most: str, narrow: str) -> None:
    done = compiled(f'{{network: {{allow: [{{host: "{host}"}}]}}}}', f'{{network: {{allow: [{{host: "{most}"}}]}}}}')
    assert {rule.host for rule in done.template.network} == {narrow}


def test_ports_methods_and_paths_are_what_both_name() -> None:
    done = compiled(
        '{network: {allow: [{host: a.example, ports: ["1-100", 443], methods: [GET, PUT], paths: ["/v1/**", "/x"]}]}}',
        '{network: {allow: [{host: "*.example", ports: ["80-500"], protocols: [https], methods: [GET], paths: ["/**/k"]}]}}',
    )
    (rule,) = done.template.network
    assert (rule.ports, rule.protocols, rule.methods) == (((80, 100), (443, 443)), ("https",), ("GET",))
    assert rule.paths == ("/v1/**/k",)


def test_a_variable_outside_the_ceiling_is_not_shown_and_said() -> None:
    done = compiled(
        "{environment: {allow: [{key: LANG}, {key: W_*}, {key: MODE, value: x}, {key: KIND, value: y}]}}",
        "{environment: {allow: [{key: W_ONE}, {key: MODE, value: z}, {key: KIND, value: y}]}}",
    )
    assert [(rule.key, rule.value) for rule in done.template.environment] == [("W_ONE", None), ("KIND", "y")]
    assert dict(done.template.denied_environment) == {"LANG": "the ceiling", "W_TWO": "the ceiling", "MODE": "the ceiling"}


NAMES = ("a", "b", "ab")
PATHS = ["/srv/" + "/".join(names) for length in (1, 2, 3) for names in product(NAMES, repeat=length)]
tails = st.lists(st.sampled_from([*NAMES, "*", "**", "?b", "a*"]), min_size=1, max_size=3).map(
    lambda names: "fs:///srv/" + "/".join(names)
)
accesses = st.sampled_from(["[read]", "[write]", "[read, write]"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(tails, min_size=1, max_size=3, unique=True), accesses, st.lists(tails, min_size=1, max_size=3, unique=True), accesses
)
def test_the_ceiling_is_exact(asked: list[str], access: str, most: list[str], limit: str) -> None:
    """On every path the template gives what the document alone gives and the ceiling alone gives."""
    document, ceiling = storage(*asked, access=access), storage(*most, access=limit)
    try:
        both = FileRules(compiled(document, ceiling).template.files)
    except PolicyError:
        return
    one, other = FileRules(compiled(document).template.files), FileRules(compiled(ceiling).template.files)
    assert [both.access(path) for path in PATHS] == [one.access(path) & other.access(path) for path in PATHS]


REQUESTS = [
    (scheme, host, port, method, path)
    for scheme, port in (("https", 443), ("http", 80), ("https", 8443))
    for host in ("a.example", "b.a.example", "example", "93.184.216.34")
    for method in ("GET", "POST")
    for path in ("/", "/v1", "/v1/x", "/v1/x/k", "/k", "/v2/k")
]


def maybe(*parts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", *parts])


entries = st.tuples(
    st.sampled_from(['host: "*"', "host: a.example", 'host: "*.example"', "cidr: 93.184.216.0/24", "cidr: 93.184.216.34/32"]),
    maybe("ports: any", "ports: [8443]"),
    maybe("protocols: [https]"),
    maybe("methods: [GET]"),
    maybe('paths: ["/v1/**"]', 'paths: ["/**/k", "/v1/*"]'),
).map(lambda parts: "{" + ", ".join(filter(None, parts)) + "}")


@settings(max_examples=100, deadline=None)
@given(st.lists(entries, min_size=1, max_size=2), st.lists(entries, min_size=1, max_size=2))
def test_the_ceiling_of_the_network_is_exact(asked: list[str], most: list[str]) -> None:
    """On every request the template allows what the document alone allows and the ceiling alone allows."""
    document, ceiling = (f"{{network: {{allow: [{', '.join(lines)}]}}}}" for lines in (asked, most))
    try:
        both = NetworkRules(compiled(document, ceiling).template.network)
        one, other = NetworkRules(compiled(document).template.network), NetworkRules(compiled(ceiling).template.network)
    except PolicyError:
        return
    for request in REQUESTS:
        assert both.decide(*request).allowed is (one.decide(*request).allowed and other.decide(*request).allowed)
