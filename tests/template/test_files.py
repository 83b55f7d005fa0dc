"""The file rules, judged by their index, against what their definition says."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.policy.globs import DEEP, name_matcher
from sandbox.template.files import MEMO, FileRules
from sandbox.template.template import Access, Effect, FileRule

READ, WRITE, CREATE, DELETE = Access.READ, Access.WRITE, Access.CREATE, Access.DELETE


def allow(pattern: str, access: Access = READ, origin: str = "allow") -> FileRule:
    return FileRule(Effect.ALLOW, pattern, access, origin)


def deny(pattern: str, access: Access = Access.ALL, origin: str = "deny") -> FileRule:
    return FileRule(Effect.DENY, pattern, access, origin)


@pytest.mark.parametrize(
    "path", ["", "srv/a", "./srv/a", "/srv/../etc", "/srv/./a", "/srv//a", "//srv/a", "/srv/a/", "/srv/a\0", "/srv/a/..", "/.."]
)
def test_a_path_that_is_not_normalised_is_refused(path: str) -> None:
    rules = FileRules([allow("/**", Access.ALL)])
    assert rules.access(path) is Access.NONE
    assert not rules.visible(path)
    assert not rules.decide(path, READ).allowed


def test_no_rules_refuse_everything() -> None:
    rules = FileRules([])
    assert rules.access("/srv") is Access.NONE
    assert not rules.visible("/")
    assert rules.decide("/srv", READ).origin is None


@pytest.mark.parametrize("order", [1, -1])
def test_pol_08_a_deny_wins_whatever_the_order(order: int) -> None:
    rules = FileRules([allow("/srv/**", Access.ALL), deny("/srv/x/**", WRITE), allow("/srv/x/y", Access.ALL)][::order])
    assert rules.access("/srv/x/y") == READ | CREATE | DELETE
    assert rules.decide("/srv/x/y", READ | WRITE).missing == WRITE
    assert rules.decide("/srv/x/y", READ | WRITE).origin == "deny"


def test_pol_08_both_everywhere_is_a_deny() -> None:
    assert FileRules([allow("/**", Access.ALL), deny("/**")]).access("/srv/a") is Access.NONE


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/srv/a", ["/srv/a"], ["/srv", "/srv/a/b", "/srv/ab", "/srv/A"]),
        ("/srv/a/**", ["/srv/a", "/srv/a/b", "/srv/a/b/c"], ["/srv", "/srv/ab", "/srv/b"]),
        ("/srv/*", ["/srv/a", "/srv/.a"], ["/srv", "/srv/a/b"]),
        ("/srv/*.csv", ["/srv/a.csv", "/srv/.csv"], ["/srv/a.csv.gz", "/srv/x/a.csv"]),
        ("/srv/**/k", ["/srv/k", "/srv/a/k", "/srv/a/b/k"], ["/srv", "/srv/k/a", "/srv/ak"]),
        ("/srv/**/k/**", ["/srv/k", "/srv/a/k/b/c"], ["/srv/a", "/srv/a/kk/b"]),
        ("/srv/{a,b}/x?", ["/srv/a/x1", "/srv/b/x2"], ["/srv/c/x1", "/srv/a/x", "/srv/{a,b}/x1"]),
        ("/srv/[a-c]", ["/srv/a", "/srv/c"], ["/srv/d", "/srv/[a-c]"]),
        ("/srv/[*]", ["/srv/*"], ["/srv/a"]),
    ],
)
def test_a_pattern_matches_these_and_not_those(pattern: str, yes: list[str], no: list[str]) -> None:
    rules = FileRules([allow(pattern)])
    assert [path for path in yes + no if rules.access(path)] == yes


def test_the_line_that_decided_is_named() -> None:
    rules = FileRules([allow("/srv/**", READ, "one"), allow("/srv/a/**", WRITE, "two"), deny("/srv/a/b", READ, "three")])
    assert rules.decide("/srv/a/c", WRITE).origin == "two"
    assert rules.decide("/srv/a/c", READ).origin == "one"
    assert rules.decide("/srv/a/b", READ) == rules.decide("/srv/a/b", READ)
    assert rules.decide("/srv/a/b", READ).origin == "three"
    assert rules.decide("/srv/a/b", DELETE).origin is None


def test_a_listing_shows_the_way_to_what_is_given_and_nothing_that_is_denied() -> None:
    rules = FileRules([allow("/srv/a/b/*.csv"), allow("/srv/t/**"), deny("/srv/t/private/**"), deny("/srv/t/x", READ)])
    visible = ["/", "/srv", "/srv/a", "/srv/a/b", "/srv/a/b/c.csv", "/srv/t", "/srv/t/y"]
    hidden = ["/srv/b", "/srv/a/c", "/srv/a/b/c.txt", "/srv/t/private", "/srv/t/private/a", "/etc"]
    assert [path for path in visible + hidden if rules.visible(path)] == visible


def test_a_folder_is_uniform_only_where_no_rule_decides_otherwise_below() -> None:
    rules = FileRules(
        [allow("/srv/t/**", Access.ALL), deny("/srv/t/a/b"), allow("/srv/u/**"), deny("/srv/u/**/k"), allow("/srv/f")]
    )
    assert rules.uniform_below("/srv/t/x")
    assert rules.uniform_below("/srv/t/a/b/c")
    assert not rules.uniform_below("/srv/t")
    assert not rules.uniform_below("/srv/t/a")
    assert not rules.uniform_below("/srv/t/a/b"), "it is denied, and what is below is not"
    assert not rules.uniform_below("/srv/u/any/where"), "a `k` may be anywhere below"
    assert not rules.uniform_below("/srv/f"), "given itself, and nothing below"


def test_an_ask_keeps_back_what_an_allow_gives_and_a_grant_answers_it() -> None:
    ask = FileRule(Effect.ASK, "/srv/**", READ | WRITE, "ask")
    answer = FileRule(Effect.ALLOW, "/srv/a", READ, "grant g-1", granted=True)
    rules = FileRules([allow("/srv/**", Access.ALL), ask, answer, deny("/srv/b", READ)])
    assert (rules.access("/srv/a"), rules.asked("/srv/a")) == (READ | CREATE | DELETE, WRITE)
    assert (rules.access("/srv/b"), rules.asked("/srv/b")) == (CREATE | DELETE, WRITE)
    assert rules.asking("/srv/a", WRITE) == "ask"
    assert rules.asking("/srv/a", READ) is None
    assert rules.asking("/srv/b", READ) is None, "a deny beats an ask"
    decision = rules.decide("/srv/c", READ)
    assert (decision.allowed, decision.origin) == (False, None), "no deny decided: a yes would help"


def test_the_memo_is_bounded_and_never_wrong() -> None:
    rules = FileRules([allow("/srv/**"), deny("/srv/7*")])
    for _ in range(2):
        for number in range(MEMO + 10):
            assert bool(rules.access(f"/srv/{number}")) is not str(number).startswith("7")
    assert len(rules._memo) <= MEMO


NAMES = ("a", "b", "ab")
PATHS = ["/" + "/".join(names) for length in (0, 1, 2, 3) for names in product(NAMES, repeat=length)]
patterns = st.lists(st.one_of(st.just(DEEP), st.sampled_from([*NAMES, "*", "a*", "*b", "?", "[ab]"])), min_size=1, max_size=4)
file_rules = st.builds(
    FileRule,
    st.sampled_from(Effect),
    patterns.map(lambda segments: "/" + "/".join(segments)),
    st.integers(1, 15).map(Access),
    st.just("line"),
    granted=st.booleans(),
)


def naive_match(pattern: list[str], names: list[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == DEEP:
        return any(naive_match(pattern[1:], names[at:]) for at in range(len(names) + 1))
    return bool(names) and name_matcher(pattern[0])(names[0]) and naive_match(pattern[1:], names[1:])


def naive_access(rules: list[FileRule], path: str) -> Access:
    """Deny beats ask, ask beats allow, and what was granted is the answer to an ask."""
    given, granted = naive_sums(rules, path)
    return given[Effect.ALLOW] & ~(given[Effect.ASK] & ~granted) & ~given[Effect.DENY]


def naive_asked(rules: list[FileRule], path: str) -> Access:
    given, granted = naive_sums(rules, path)
    return given[Effect.ASK] & ~granted & ~given[Effect.DENY]


def naive_sums(rules: list[FileRule], path: str) -> tuple[dict[Effect, Access], Access]:
    names = [name for name in path.split("/") if name]
    given, granted = dict.fromkeys(Effect, Access.NONE), Access.NONE
    for rule in rules:
        if naive_match(rule.pattern.split("/")[1:], names):
            given[rule.effect] |= rule.access
            granted |= rule.access if rule.effect is Effect.ALLOW and rule.granted else Access.NONE
    return given, granted


@settings(deadline=None)
@given(st.lists(file_rules, max_size=6))
def test_the_index_agrees_with_every_rule_asked_in_turn(rules: list[FileRule]) -> None:
    index = FileRules(rules)
    assert [index.access(path) for path in PATHS] == [naive_access(rules, path) for path in PATHS]
    assert [index.asked(path) for path in PATHS] == [naive_asked(rules, path) for path in PATHS]


@settings(deadline=None)
@given(st.lists(file_rules, max_size=6), st.integers(1, 15).map(Access))
def test_a_decision_agrees_with_the_access(rules: list[FileRule], wanted: Access) -> None:
    index = FileRules(rules)
    for path in PATHS:
        decision = index.decide(path, wanted)
        assert decision.missing == wanted & ~naive_access(rules, path)
        assert decision.allowed is not bool(decision.missing)


@settings(deadline=None)
@given(st.lists(file_rules, max_size=6))
def test_what_is_given_is_visible_and_so_is_the_way_to_it(rules: list[FileRule]) -> None:
    index = FileRules(rules)
    for path in PATHS:
        below = [other for other in PATHS if other == path or other.startswith(path.rstrip("/") + "/")]
        if any(naive_access(rules, other) | naive_asked(rules, other) for other in below):
            assert index.visible(path)


@settings(deadline=None)
@given(st.lists(file_rules, max_size=6))
def test_below_a_uniform_folder_every_path_is_judged_as_the_folder(rules: list[FileRule]) -> None:
    index = FileRules(rules)
    for path in PATHS:
        if index.uniform_below(path):
            here = naive_access(rules, path), naive_asked(rules, path)
            below = [f"{path.rstrip('/')}{below}" for below in PATHS if below != "/"]
            assert all((naive_access(rules, one), naive_asked(rules, one)) == here for one in below)
