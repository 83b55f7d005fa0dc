"""How much may be stored, from the line to the rule: what is refused, what a ceiling makes of it, what taking some away means."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.template.difference import taken_away
from sandbox.template.template import WasiTemplate
from tests.template.compiling import compiled, refused

MEBI = 1 << 20


def tree(sizes: str = "", uri: str = "fs:///srv/**", access: str = "[read, write, create, delete]") -> str:
    """An allow of a tree with its sizes."""
    return f'{{uri: "{uri}", access: {access}{", " + sizes if sizes else ""}}}'


def storage(*allows: str) -> str:
    """A section of these allows."""
    return f"{{storage: {{allow: [{', '.join(allows)}]}}}}"


def sizes(template: WasiTemplate) -> list[tuple[str, int | None, int | None]]:
    """Pattern and sizes of each rule."""
    return [(rule.pattern, rule.max_file_bytes, rule.max_total_bytes) for rule in template.files]


def said_of(text: str) -> str:
    """What loading a document said, having refused it."""
    with pytest.raises(PolicyError) as caught:
        load_policy(f'version: "2.0"\npermissions: {text}\n', file="p.yaml")
    assert all(problem.help for problem in caught.value.problems)
    return str(caught.value)


@pytest.mark.parametrize("size", ["10", "0Mi", "1.5Mi", "10MB", "-1Mi", "2000Gi"])
def test_a_size_has_a_unit_and_bounds(size: str) -> None:
    assert "max_total_size" in said_of(storage(tree(f"max_total_size: {size}")))


@pytest.mark.parametrize("rate", ["1000", "1000/min", "0/s", "1e3/s", "10000000/s"])
def test_a_rate_is_a_number_a_second(rate: str) -> None:
    assert "file_ops" in said_of(f'{{resources: {{limits: {{file_ops: "{rate}"}}}}}}')


@pytest.mark.parametrize("access", ["[read]", "[read, delete]"])
def test_a_size_where_nothing_can_grow_is_refused(access: str) -> None:
    assert "where nothing can grow" in said_of(storage(tree("max_file_size: 1Mi", access=access)))


@pytest.mark.parametrize(
    ("wide", "narrow", "name"),
    [
        (tree(), tree("max_total_size: 1Mi"), "max_total_size"),
        (tree(), tree("max_file_size: 1Mi", uri="fs:///srv/a/**"), "max_file_size"),
        (tree("max_total_size: 2Mi"), tree("max_total_size: 1Mi", uri="fs:///srv/a/**"), "max_total_size"),
    ],
)
def test_a_size_beside_a_wider_line_without_it_is_no_restriction(wide: str, narrow: str, name: str) -> None:
    """Rules add up: the wider line would let it all be stored."""
    assert f"`{name}` of `fs:///srv/" in said_of(storage(wide, narrow))
    assert "reads like a restriction but is none" in said_of(storage(wide, narrow))


def test_a_size_beside_a_wider_line_is_seen_once_links_are_resolved() -> None:
    said = refused(storage(tree(), tree("max_total_size: 1Mi", uri="fs:///other/**")), links={"/other": "/srv/a"})
    assert "`max_total_size` of `fs:///other/**` reads like a restriction but is none" in said


def test_a_line_that_only_reads_lets_nothing_be_stored() -> None:
    lines = tree(access="[read]"), tree("max_total_size: 1Mi", access="[write, create]")
    assert sizes(compiled(storage(*lines)).template) == [("/srv/**", None, None), ("/srv/**", None, MEBI)]


@pytest.mark.parametrize(
    ("document", "ceiling", "found"),
    [
        ("", "max_total_size: 5Mi", (None, 5 * MEBI)),
        ("max_total_size: 9Mi, max_file_size: 1Mi", "max_total_size: 5Mi, max_file_size: 3Mi", (MEBI, 5 * MEBI)),
        ("max_total_size: 9Mi", "", (None, 9 * MEBI)),
        ("max_file_size: 9Mi", "max_total_size: 5Mi", (9 * MEBI, 5 * MEBI)),
    ],
)
def test_a_ceiling_holds_what_is_granted_inside_of_it(document: str, ceiling: str, found: tuple[int | None, int | None]) -> None:
    """The smaller of the two, whoever wrote it; and it is said that the ceiling narrows."""
    policy = compiled(storage(tree(document)), storage(tree(ceiling)))
    assert sizes(policy.template) == [("/srv/**", *found)]
    assert any("the ceiling narrows" in warning for warning in policy.warnings) is bool(ceiling)


def test_a_ceiling_of_two_lines_gives_what_either_gives() -> None:
    ceiling = storage(tree("max_total_size: 5Mi"), tree("max_total_size: 50Mi", uri="fs:///srv/big/**"))
    with pytest.raises(PolicyError, match="reads like a restriction"):
        compiled(storage(tree()), storage(tree("max_total_size: 50Mi"), tree("max_total_size: 5Mi", uri="fs:///srv/big/**")))
    found = sizes(compiled(storage(tree()), ceiling).template)
    assert found == [("/srv/**", None, 5 * MEBI), ("/srv/big/**", None, 50 * MEBI)]


def test_less_to_store_is_taken_away_and_more_is_not() -> None:
    """By which a change of a policy acts on running calls."""
    small, large, free = (compiled(storage(tree(size))).template for size in ("max_total_size: 1Mi", "max_total_size: 2Mi", ""))
    assert taken_away(large, small).files
    assert taken_away(free, large).files
    assert not taken_away(small, large).files
    assert not taken_away(large, free).files
    fast = compiled("{resources: {limits: {file_ops: 9000/s}}}").template
    assert taken_away(fast, compiled("{}").template).limits
    assert not taken_away(compiled("{}").template, fast).limits


def test_operations_a_second_of_version_1_are_file_ops() -> None:
    template = compiled("{resources: {io: 1000}}", version="1.0").template
    assert template.limits.file_ops == 1000
    assert compiled("{}").template.limits.file_ops == 5000


def test_each_size_says_what_enforces_it() -> None:
    notes = compiled(storage(tree("max_file_size: 1Mi, max_total_size: 5Mi"))).notes
    lines = {note.line: note.enforced_by for note in notes}
    assert "RLIMIT_FSIZE" in lines["max_file_size 1Mi on /srv/**"]
    assert "watcher" in lines["max_total_size 5Mi on /srv/**"]
    assert "held back" in lines["file_ops 5000/s"]
