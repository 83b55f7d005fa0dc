"""The text of a document: what is no plain YAML tree is refused before it means anything (ATTACKS POL-01, 02, 03, 05)."""

from __future__ import annotations

import time

import pytest

from sandbox.errors import Code, PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.tree import MAX_BYTES, read_tree


def refused(text: bytes | str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, file="p.yaml")
    return caught.value


def test_pol_01_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
    error = refused(f'version: "2.0"\nl0: &l0 [x]\n{levels}\n')
    assert error.code is Code.INVALID_FORMAT
    assert "p.yaml:2:5: l0: `&l0` is an anchor" in str(error)
    assert "`*l0` is an alias" in str(error)


def test_pol_01_a_document_that_holds_itself_is_refused() -> None:
    assert "`*a` is an alias" in str(refused("&a [*a]"))


def test_pol_01_a_merge_key_is_refused() -> None:
    assert "`<<` is a merge key" in str(refused('version: "2.0"\npermissions:\n  <<: {storage: {}}\n'))


def test_pol_02_a_key_that_stands_twice_is_refused_at_the_second() -> None:
    text = 'version: "2.0"\npermissions:\n  network: {allow: []}\n  network: {allow: [{host: evil.example}]}\n'
    error = refused(text)
    assert "p.yaml:4:3: permissions.network: the key `network` stands here twice" in str(error)
    assert error.code is Code.INVALID_FORMAT


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        ("permissions: {netwrok: {}}", "p.yaml:2:15: permissions.netwrok", "did you mean `network`?"),
        ("permissions: {network: {Allow: []}}", "p.yaml:2:25: permissions.network.Allow", "did you mean `allow`?"),
        ("permisions: {}", "p.yaml:2:1: permisions", "did you mean `permissions`?"),
        ("permissions: {storage: {alow: []}}", "permissions.storage.alow", "did you mean `allow`?"),
        ("permissions: {resources: {limits: {cputime: 1s}}}", "permissions.resources.limits.cputime", "did you mean `cpu_time`?"),
        ("permissions: {environment: {allow: [{name: X}]}}", "permissions.environment.allow[0].name", "the keys here are"),
    ],
)
def test_pol_03_an_unknown_key_is_refused_with_its_path(text: str, where: str, near: str) -> None:
    error = refused(f'version: "2.0"\n{text}\n')
    assert where in str(error)
    assert near in str(error)
    assert error.code is Code.VALIDATION_FAILED


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system [id]", "!!str x", "!local x", "! x", "!!python/name:os.system ''", "!!binary aGk="]
)
def test_pol_05_a_tag_is_refused(value: str) -> None:
    assert "is a tag" in str(refused(f'version: "2.0"\ndescription: {value}\n'))


def test_pol_05_a_tagged_key_is_refused() -> None:
    assert "is a tag" in str(refused('version: "2.0"\n!!str description: x\n'))


def test_pol_05_two_documents_are_refused() -> None:
    assert "p.yaml:2:1: a second document begins here" in str(refused('version: "2.0"\n---\nversion: "2.0"\n'))


def test_pol_05_depth_is_refused_at_once() -> None:
    started = time.process_time()
    assert "more than 16 levels" in str(refused("a: " + "[" * 20_000 + "]" * 20_000))
    assert "more than 16 levels" in str(refused("".join(f"{' ' * n}a:\n" for n in range(600))))
    assert time.process_time() - started < 5


def test_pol_05_a_text_above_the_limit_is_refused_before_it_is_parsed() -> None:
    started = time.process_time()
    error = refused("a" * 5_000_000)
    assert time.process_time() - started < 1
    assert f"5000000 bytes are more than the {MAX_BYTES} of a policy" in str(error)


def test_the_limit_counts_bytes_and_holds_exactly() -> None:
    comment = "#" + "ä" * 100
    text = f'version: "2.0"\n{comment}\n'
    filler = "#" * (MAX_BYTES - len(text.encode()))
    load_policy(text + filler, file="p.yaml")
    refused(text + filler + "#")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'version: "2.0"\ndescription: \xff\n', "p.yaml:2:14: this is no UTF-8"),
        ('version: "2.0"\n'.encode("utf-16"), "this is no UTF-8"),
        (b'\xef\xbb\xbfversion: "2.0"\n', "byte order mark"),
        (b'version: "2.0"\ndescription: a\x00b\n', "U+0000"),
        ("version: '2.0'\ndescription: '\ud800'\n", "U+D800"),
        (b"", "the document is empty"),
        (b"# nothing\n", "the document is empty"),
        (b"[]", "the document is no mapping"),
        (b"x", "the document is no mapping"),
        (b'{version: "2.0"', "this is no YAML"),
        (b'version: "2.0"\n\tdescription: x', "this is no YAML"),
        (b"? {a: b}\n: c\n", "a key is no plain name"),
        (b'version: "2.0"\npermissions: {network: {allow: [{host: *}]}}', 'quote a text that begins with `*`: `"*"`'),
    ],
)
def test_text_that_is_no_document_is_refused(text: bytes | str, said: str) -> None:
    error = refused(text)
    assert said in str(error)
    assert error.code is Code.INVALID_FORMAT


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "true", "NO", "1", "0x7f", "1_000", "12:30", "1e3", "2024-01-01", "~", "null"]
)
def test_a_scalar_that_yaml_reads_as_something_else_is_no_text(word: str) -> None:
    """`host: no` is an error, not False, and not the host `no` either."""
    error = refused(f'version: "2.0"\npermissions: {{network: {{allow: [{{host: {word}}}]}}}}\n')
    assert "permissions.network.allow[0].host" in str(error)


def test_a_quoted_scalar_is_text() -> None:
    document = load_policy('version: "2.0"\npermissions: {environment: {allow: [{key: A, value: "no"}]}}', file="p.yaml")
    assert document.permissions.environment.allow[0].value == "no"


@pytest.mark.parametrize("word", ["0x10", "010", "1_0", "22:80", "1.5", "true", '"443x"', "-1", "0", "65536"])
def test_a_port_is_a_plain_decimal_number(word: str) -> None:
    refused(f'version: "2.0"\npermissions: {{network: {{allow: [{{host: a.example, ports: [{word}]}}]}}}}\n')


@pytest.mark.parametrize(
    "line",
    [
        "description:",
        "permissions:",
        "permissions: {storage: }",
        "permissions: {network: {allow: [{host: a.example, methods: }]}}",
    ],
)
def test_a_key_with_nothing_after_it_is_refused(line: str) -> None:
    """Left empty, a restriction such as `methods:` would read as none at all."""
    assert "nothing stands here" in str(refused(f'version: "2.0"\n{line}\n'))


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    error = refused(
        'version: "3.0"\npermissions:\n  ipc: {}\n  storage:\n    allow:\n      - uri: /etc\n        access: [raed]\n'
        "  network: {allow: [{host: no}]}\n  resources: {limits: {memory: 64}}\n"
    )
    assert [problem.where for problem in error.problems] == [
        "p.yaml:1:10",
        "p.yaml:3:3",
        "p.yaml:6:14",
        "p.yaml:7:18",
        "p.yaml:8:28",
        "p.yaml:9:32",
    ]
    assert all(problem.help for problem in error.problems)
    assert error.to_json()["problems"][2]["path"] == "permissions.storage.allow[0].uri"


def test_a_problem_with_the_text_and_one_with_its_meaning_come_together() -> None:
    error = refused('version: "2.0"\ndescription: &a x\npermissions: {ipc: {}}\n')
    assert len(error.problems) == 2


def test_quoted_text_is_cut_and_printable() -> None:
    error = refused('version: "2.0"\npermissions: {network: {allow: [{host: "' + "\\u001b[31m" + "a" * 5000 + '"}]}}')
    assert "\x1b" not in str(error)
    assert len(str(error)) < 600


def test_marks_are_of_keys_and_values() -> None:
    tree = read_tree("a:\n  - b: c\n", file="f")
    assert tree.where(("a", 0, "b")) == "f:2:8"
    assert tree.where(("a", 0, "b"), key=True) == "f:2:5"
    assert tree.where(("a", 0, "missing")) == "f:2:5"


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("a:\n\tb: c\n", "indent by spaces"),
        ("a: b: c\n", "quote a text that holds `: `"),
        ("a:\n  b: 1\n c: 2\n", "indent the line as those beside it"),
        ('a: "b\n', "close the quotes"),
        ("a: [b\n", "close the list"),
        ("a: {b: c\n", "close the mapping"),
        ("a: @b\n", "quote the text"),
        ("a: *\n", 'quote a text that begins with `*`: `"*"`'),
        ("%FOO\n", "write `key: value` lines"),
    ],
)
def test_a_text_that_is_no_yaml_says_what_to_write(text: str, help_: str) -> None:
    (problem,) = refused(text).problems
    assert problem.message.startswith("this is no YAML: ")
    assert help_ in (problem.help or "")


def test_a_schema_key_for_editors_grants_nothing_and_is_left_out() -> None:
    document = load_policy('$schema: https://schemas.example/v2.json\nversion: "2.0"\n', file="p.yaml")
    assert document.permissions == load_policy('version: "2.0"\n', file="p.yaml").permissions
    assert "unknown key `$schema`" in str(refused('$schema: {a: b}\nversion: "2.0"\n'))


def test_a_byte_order_mark_is_refused_in_a_text_too() -> None:
    """A stored document, and one that is given as a text, are read as text."""
    assert "byte order mark" in str(refused('\ufeffversion: "2.0"\n'))
