"""A document on a host: what is refused there, where its lines lead, what the guest calls it."""

from __future__ import annotations

import pytest

from sandbox.policy.grants import Grant, make_entry_storage, with_grants
from sandbox.policy.load import load_policy
from sandbox.policy.named import named_policy, policy_names
from sandbox.template.compile import compile_template
from sandbox.template.files import FileRules
from sandbox.template.template import Access, Effect, Limits, Preopen, WasiTemplate
from sandbox.wit.types import Digest
from tests.template.compiling import DATA, ENVIRONMENT, HOME, STATE, compiled, refused, resolver, storage

EVERYTHING = "[read, write, create, delete]"


@pytest.mark.parametrize(
    "uri",
    [
        f"fs://{STATE}/audit/**",
        f"fs://{STATE}/**",
        f"fs://{STATE}",
        "fs:///home/me/**",
        "fs:///home/**",
        "fs://~/**",
        "fs://~/.local/*/**",
        "fs://~/.local/state/*",
        "fs://~/.local/state/sandbox/policy.yaml",
        "fs:///home/*/.local/**",
        "fs:///hom[e]/me/**",
    ],
)
def test_pol_07_a_grant_on_or_around_the_hosts_own_folders_is_refused(uri: str) -> None:
    assert "the host's own" in refused(storage(uri))


def test_pol_07_a_link_to_the_hosts_own_folders_is_refused() -> None:
    assert "the host's own" in refused(storage("fs:///srv/x/**"), links={"/srv/x": STATE})


def test_another_components_data_is_refused_and_ones_own_is_not() -> None:
    assert "the host's own" in refused(storage(f"fs://{STATE}/data/other/**"))
    assert compiled(storage("fs://cache/**")).template.preopens == (Preopen(f"{DATA}/cache", "/cache", False),)


@pytest.mark.parametrize("uri", ["fs://~/notes/**", "fs://~/.local/share/x/*.txt", "fs://~/*.txt", "fs:///home/you/**"])
def test_a_grant_beside_the_hosts_own_folders_is_none_of_them(uri: str) -> None:
    assert compiled(storage(uri)).template.files


def test_a_variable_that_the_host_has_not_is_one_problem_however_many_lines_name_it() -> None:
    said = refused(storage("fs://${X}/a/**", "fs://${X}/b/**", deny=("fs://${X}/a/c",)), host_environment={})
    assert said.count("the host has no variable `X`, which the policy names") == 1
    assert "sandbox install --env" in said


@pytest.mark.parametrize("target", ["/proc/self", "/sys", "/dev/shm", "/run/user/0", "/"])
def test_fs_11_a_link_into_a_tree_of_the_kernel_is_refused(target: str) -> None:
    said = refused(storage("fs:///srv/x/**"), links={"/srv/x": target})
    assert "the kernel's or a service's" in said or "begins at `/`" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the host has no variable `X`"),
        ("", "is no absolute path"),
        ("relative/x", "is no absolute path"),
        ("//srv/x", "is no absolute path"),
        ("/srv/../etc", "has `..` in it"),
        ("/srv/x/..", "has `..` in it"),
        ("/srv/*", "a character that a path of the host may not have here"),
        ("/srv/{a,b}", "a character that a path of the host may not have here"),
        ("/srv/[a]", "a character that a path of the host may not have here"),
        ("/srv/x?", "a character that a path of the host may not have here"),
        ("/srv/x\0y", "a character that a path of the host may not have here"),
        ("/srv/x\n", "a character that a path of the host may not have here"),
        ("/", "begins at `/`"),
        ("/proc", "lies in `/proc`"),
    ],
)
def test_a_variable_that_holds_more_than_a_plain_path_is_refused(value: str | None, said: str) -> None:
    environment = {} if value is None else {"X": value}
    assert said in refused(storage("fs://${X}/**"), host_environment=environment)


def test_a_home_that_is_no_plain_path_is_refused() -> None:
    assert "has `..` in it" in refused(storage("fs://~/notes/**"), home="/home/../etc")


def test_a_link_out_of_the_components_data_is_refused() -> None:
    """The component may write there: it could have made the link itself."""
    assert "a link out of the component's data folder" in refused(storage("fs://x/**"), links={f"{DATA}/x": "/home/me/.ssh"})


def test_fs_06_a_link_that_the_component_may_have_planted_is_refused() -> None:
    text = storage("fs:///srv/w/**", "fs:///srv/w/x/y/**", access=EVERYTHING)
    assert "goes through a link that the component may have made" in refused(text, links={"/srv/w/x": "/etc"})
    compiled(storage("fs:///srv/w/**", "fs:///srv/w/x/y/**"), links={"/srv/w/x": "/etc"})


def test_a_file_that_is_a_link_out_of_its_folder_is_refused() -> None:
    said = refused(storage("fs:///srv/a.txt"), links={"/srv/a.txt": "/var/b.txt"})
    assert "write where it leads: `fs:///var/b.txt`" in said


@pytest.mark.parametrize("uri", ["fs://**", "fs://*.txt", "fs://notes.txt"])
def test_what_would_be_mounted_at_the_root_needs_a_mount(uri: str) -> None:
    assert "has no folder to be mounted at" in refused(storage(uri))


def test_a_file_directly_in_the_root_is_refused() -> None:
    assert "lies directly in `/`" in refused(storage("fs:///swapfile"))


def test_a_file_keeps_its_name() -> None:
    said = refused("{storage: {allow: [{uri: fs:///srv/a.txt, access: [read], mount: /data}]}}")
    assert "write `mount: /data/a.txt`" in said


def test_two_folders_under_one_name_are_refused() -> None:
    text = '{storage: {allow: [{uri: "fs://x/**", access: [read]}, {uri: "fs:///srv/x/**", access: [read], mount: /x}]}}'
    assert "`/x` would be two folders" in refused(text)


def test_every_problem_comes_at_once_with_its_line() -> None:
    said = refused(storage("fs://${NONE}/**", "fs://**", "fs://~/**"))
    assert said.count("p.yaml:2:") == 3


@pytest.mark.parametrize(
    ("uri", "more", "preopen", "pattern"),
    [
        ("fs:///srv/data/**", "", ("/srv/data", "/srv/data"), "/srv/data/**"),
        ("fs:///srv/data/**", ", mount: /data", ("/srv/data", "/data"), "/srv/data/**"),
        ("fs:///srv/out/*.csv", "", ("/srv/out", "/srv/out"), "/srv/out/*.csv"),
        ("fs:///srv/out/*.csv", ", mount: /out", ("/srv/out", "/out"), "/srv/out/*.csv"),
        ("fs:///srv/a/b.txt", "", ("/srv/a", "/srv/a"), "/srv/a/b.txt"),
        ("fs:///srv/a/b.txt", ", mount: /in/b.txt", ("/srv/a", "/in"), "/srv/a/b.txt"),
        ("fs:///srv/*/x/**", "", ("/srv", "/srv"), "/srv/*/x/**"),
        ("fs://cache/**", "", (f"{DATA}/cache", "/cache"), f"{DATA}/cache/**"),
        ("fs://a/b/*", "", (f"{DATA}/a/b", "/a/b"), f"{DATA}/a/b/*"),
        ("fs://a/b.txt", "", (f"{DATA}/a", "/a"), f"{DATA}/a/b.txt"),
        ("fs://**", ", mount: /data", (DATA, "/data"), f"{DATA}/**"),
        ("fs://~/notes/**", "", (f"{HOME}/notes", f"{HOME}/notes"), f"{HOME}/notes/**"),
        ("fs://${WORK}/**", ", mount: /w", ("/srv/work", "/w"), "/srv/work/**"),
        ("fs:///srv//./data/**", "", ("/srv/data", "/srv/data"), "/srv/data/**"),
        ("fs:///srv/[*]/**", "", ("/srv/*", "/srv/*"), "/srv/[*]/**"),
    ],
)
def test_where_a_uri_lies_and_what_the_guest_calls_it(uri: str, more: str, preopen: tuple[str, str], pattern: str) -> None:
    template = compiled(f'{{storage: {{allow: [{{uri: "{uri}", access: [read]{more}}}]}}}}').template
    assert template.preopens == (Preopen(*preopen, False),)
    assert [rule.pattern for rule in template.files] == [pattern]


def test_a_rule_is_about_the_real_path_and_the_guest_keeps_the_written_one() -> None:
    template = compiled(storage("fs:///srv/data/x/**", deny=("fs:///srv/data/x/p",)), links={"/srv/data": "/mnt/[1]"}).template
    assert template.preopens == (Preopen("/mnt/[1]/x", "/srv/data/x", False),)
    rules = FileRules(template.files)
    assert rules.access("/mnt/[1]/x/y") is Access.READ
    assert rules.access("/mnt/[1]/x/p") is Access.NONE
    assert rules.access("/mnt/1/x/y") is Access.NONE


def test_a_deny_holds_for_the_link_and_for_where_it_leads() -> None:
    template = compiled(
        storage("fs:///srv/a/**", "fs:///var/b/**", deny=("fs:///srv/a/p/**",)), links={"/srv/a/p": "/var/b/q"}
    ).template
    rules = FileRules(template.files)
    assert not rules.access("/srv/a/p")
    assert not rules.access("/var/b/q/x")
    assert rules.access("/var/b/x")


@pytest.mark.parametrize(
    ("version", "uri", "kind", "folder"),
    [
        ("1.0", "fs:///srv/a/b.txt", "file", "/srv/a"),
        ("1.0", "fs:///srv/a/b", "folder", "/srv/a/b"),
        ("1.0", "fs:///srv/a/b", "absent", "/srv/a/b"),
        ("2.0", "fs:///srv/a/b.txt", "file", "/srv/a"),
        ("2.0", "fs:///srv/a/b.txt", "absent", "/srv/a"),
        ("2.0", "fs:///srv/a/b", "folder", "/srv/a/b"),
    ],
)
def test_one_file_is_opened_in_its_folder_and_a_folder_is_itself(version: str, uri: str, kind: str, folder: str) -> None:
    template = compiled(storage(uri), version=version, kind=lambda path: kind).template
    assert [preopen.host_path for preopen in template.preopens] == [folder]
    assert FileRules(template.files).access(uri.removeprefix("fs://")) is Access.READ


def test_a_preopen_is_writable_where_any_rule_writes_there() -> None:
    text = '{storage: {allow: [{uri: "fs:///srv/a/*.x", access: [read]}, {uri: "fs:///srv/a/*.y", access: [create]}]}}'
    assert compiled(text).template.preopens == (Preopen("/srv/a", "/srv/a", True),)


def test_the_components_own_folders_are_named() -> None:
    text = storage("fs://cache/**", "fs://a/b.txt", "fs:///srv/x/**")
    assert compiled(text).own_folders == (f"{DATA}/a", f"{DATA}/cache")


@pytest.mark.parametrize(
    ("narrow", "wide", "links"),
    [
        ("fs://~/n/a", "fs:///home/me/n/**", {}),
        ("fs://${WORK}/a", "fs:///srv/work/**", {}),
        ("fs:///srv/x/a/**", "fs:///mnt/**", {"/srv/x": "/mnt/y"}),
        ("fs:///srv/x/a/**", "fs:///srv/y/**", {"/srv/x": "/srv/y"}),
    ],
)
def test_a_restriction_that_is_none_is_seen_through_anchors_and_links(narrow: str, wide: str, links: dict[str, str]) -> None:
    text = f'{{storage: {{allow: [{{uri: "{narrow}", access: [read]}}, {{uri: "{wide}", access: [read, delete]}}]}}}}'
    assert "reads like a restriction but is none" in refused(text, links=links)


@pytest.mark.parametrize("name", policy_names())
def test_a_named_policy_compiles(name: str) -> None:
    template = compile_template(
        named_policy(name),
        digest=Digest("d"),
        name="tool",
        data_folder=DATA,
        home=HOME,
        host_environment={"WORKSPACE": "/srv/project"},
        protected=(STATE,),
        resolve=resolver({}),
    ).template
    rules = FileRules(template.files)
    assert rules.access("/srv/project/src/a.py") == {"read-only": Access.READ, "workspace": Access.ALL}.get(name, Access.NONE)
    assert not rules.access("/srv/project/deep/.env")
    assert not rules.access("/srv/project/.ssh/id")
    assert rules.access("/srv/project/.git/hooks/x") == (Access.READ if name in {"read-only", "workspace"} else Access.NONE)
    assert bool(template.network) is (name == "one-host")


def test_an_empty_document_is_the_empty_sandbox() -> None:
    template = compiled("{}").template
    assert template == WasiTemplate(component=Digest("d" * 64), generation=template.generation)
    assert template.limits == Limits()


@pytest.mark.parametrize(
    ("entry", "rules"),
    [
        ("{host: a.example}", [(("https",), ((443, 443),)), (("http",), ((80, 80),))]),
        ("{host: a.example, protocols: [https]}", [(("https",), ((443, 443),))]),
        ("{host: a.example, ports: [8443]}", [(("https", "http"), ((8443, 8443),))]),
        ("{host: a.example, ports: any}", [(("https", "http"), None)]),
        ("{cidr: 10.0.0.0/8, protocols: [http]}", [(("http",), ((80, 80),))]),
    ],
)
def test_an_allow_without_ports_means_each_protocols_own(entry: str, rules: list[tuple[object, object]]) -> None:
    network = compiled(f"{{network: {{allow: [{entry}]}}}}").template.network
    assert [(rule.protocols, rule.ports) for rule in network] == rules


def test_a_deny_without_ports_means_every_port() -> None:
    (rule,) = compiled("{network: {deny: [{host: a.example}]}}").template.network
    assert (rule.effect, rule.ports, rule.protocols) == (Effect.DENY, None, ("https", "http", "tcp"))
    (rule,) = compiled("{network: {deny: [{host: a.example, paths: [/x]}]}}").template.network
    assert rule.protocols == ("https", "http"), "a path is of a request"


def test_limits_know_their_lines() -> None:
    limits = compiled("{resources: {limits: {memory: 64Mi, cpu_time: 1500ms, fuel: 7}}}").template.limits
    assert (limits.memory_bytes, limits.cpu_time_ms, limits.fuel, limits.wall_time_ms) == (64 << 20, 1500, 7, 30_000)
    assert limits.origin("memory_bytes").startswith("p.yaml:2:")
    assert limits.origin("wall_time_ms") == "default"


def test_every_line_says_what_enforces_it() -> None:
    text = (
        '{storage: {allow: [{uri: "fs:///srv/a/**", access: [read]}], deny: [{uri: "fs:///srv/a/p"}]}, '
        "network: {allow: [{host: a.example, protocols: [https]}], deny: [{host: b.example}]}, "
        "environment: {allow: [{key: LANG}, {key: MODE, value: x}], deny: [{key: A}]}, resources: {limits: {memory: 64Mi}}}"
    )
    notes = compiled(text).notes
    assert all(note.enforced_by for note in notes)
    written = [note for note in notes if note.origin != "default"]
    assert len(written) == 8
    assert any(note.line == "memory 64Mi" and "RLIMIT_DATA" in note.enforced_by for note in notes)
    assert {note.line.split()[0] for note in notes if note.origin == "default"} >= {"cpu_time", "wall_time", "concurrency"}


def test_the_generation_is_of_all_that_went_in() -> None:
    first = compiled(storage("fs:///srv/a/**")).template.generation
    assert first == compiled(storage("fs:///srv/a/**")).template.generation
    others = [
        compiled(storage("fs:///srv/b/**")),
        compiled(storage("fs:///srv/a/**"), "{storage: {allow: [{uri: fs:///srv/**, access: [read]}]}}"),
        compiled(storage("fs:///srv/a/**"), digest=Digest("e" * 64)),
        compiled(storage("fs:///srv/a/**"), name="other"),
        compiled(storage("fs:///srv/a/**"), links={"/srv/a": "/mnt"}),
    ]
    assert len({first, *(other.template.generation for other in others)}) == 6


def test_a_template_is_hashable() -> None:
    assert len({compiled(storage("fs:///srv/a/**")).template, compiled(storage("fs:///srv/a/**")).template}) == 1


def test_a_grant_shows_as_the_rules_origin() -> None:
    grant = Grant("g7", "tool", Digest("d"), "storage", make_entry_storage("fs:///srv/b/**", ["read"]), "me", 1.0)
    document = with_grants(load_policy('version: "2.0"', file="p.yaml"), [grant], 2.0)
    template = compile_template(
        document,
        digest=Digest("d"),
        name="tool",
        data_folder=DATA,
        home=HOME,
        host_environment=ENVIRONMENT,
        protected=(STATE,),
        resolve=resolver({}),
    ).template
    assert FileRules(template.files).decide("/srv/b/x", Access.READ).origin == "grant g7"
