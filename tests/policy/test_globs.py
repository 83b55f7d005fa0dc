"""Globs: what they match, in linear time; covering and meeting are never claimed wrongly."""

from __future__ import annotations

import time
from fnmatch import translate
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.policy.globs import (
    DEEP,
    NotExpressibleError,
    Segments,
    covers,
    escape,
    expand,
    intersect,
    literal,
    matches,
    name_covers,
    name_intersect,
    name_matcher,
    shape,
)

ALPHABET = "ab."
NAMES = ["".join(letters) for length in (1, 2, 3) for letters in product(ALPHABET, repeat=length)]
PATHS: list[Segments] = [names for length in (0, 1, 2, 3) for names in product(("a", "b", "ab", "ba"), repeat=length)]

name_patterns = st.lists(st.sampled_from(["a", "b", ".", "*", "?", "[ab]", "[a-b]", "[.]"]), min_size=1, max_size=5).map("".join)
name_patterns = name_patterns.filter(lambda text: DEEP not in text)
path_patterns = st.lists(st.one_of(st.just(DEEP), st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "?"])), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["a", ".a", "a b", "a\nb"], [""]),
        ("?", ["a", "."], ["", "aa"]),
        ("a*b", ["ab", "axb", "abb"], ["a", "b", "abc"]),
        ("*.csv", [".csv", "a.csv"], ["a.csv.gz", "csv"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x", "x"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[*]", ["*"], ["a", "**"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a\nb", ["a\nb"], ["a\n"]),
        ("a+(b)|c", ["a+(b)|c"], ["aab", "c"]),
    ],
)
def test_a_name_pattern_matches_these_and_not_those(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes + no if name_matcher(pattern)(name)] == yes


@pytest.mark.parametrize("pattern", ["*a" * 40, "*?" * 40 + "b", "*[ab]" * 40 + "c", "a*" * 60 + "b", ("?*" * 30) + "z"])
def test_a_pattern_that_would_backtrack_for_ever_answers_at_once(pattern: str) -> None:
    (one,) = expand(pattern)
    match = name_matcher(one)
    started = time.process_time()
    assert not match("a" * 255 + "!")
    assert time.process_time() - started < 5


def test_time_grows_no_faster_than_the_name() -> None:
    def seconds(length: int) -> float:
        name = "a" * length + "!"
        match, best = name_matcher("*a*a*a*a*a*a*b"), 1e9
        for _ in range(5):
            started = time.process_time()
            match(name)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(40_000) < 40 * seconds(4_000)


@settings(deadline=None)
@given(name_patterns)
def test_a_name_pattern_agrees_with_the_shell(pattern: str) -> None:
    import re

    shell = re.compile(translate(pattern))
    ours = name_matcher(pattern)
    assert [name for name in NAMES if ours(name)] == [name for name in NAMES if shell.fullmatch(name)]


@settings(deadline=None)
@given(name_patterns)
def test_shape_and_literal_say_what_is_true_of_every_match(pattern: str) -> None:
    form, match = shape(pattern), name_matcher(pattern)
    for name in filter(match, NAMES):
        assert name.startswith(form.prefix)
        assert name.endswith(form.suffix)
        assert len(name) >= form.least
    if literal(pattern) is not None:
        assert [name for name in NAMES if match(name)] in ([literal(pattern)], [])


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text))
def test_an_escaped_name_is_itself(name: str) -> None:
    assert literal(escape(name)) == name
    assert expand(escape(name)) == (escape(name),)


@settings(deadline=None)
@given(name_patterns, name_patterns)
def test_a_name_pattern_that_covers_another_matches_all_that_it_does(wide: str, narrow: str) -> None:
    if name_covers(wide, narrow):
        assert all(name_matcher(wide)(name) for name in NAMES if name_matcher(narrow)(name))


@settings(deadline=None)
@given(name_patterns, name_patterns)
def test_what_two_name_patterns_share_is_exactly_that(one: str, other: str) -> None:
    both = [name for name in NAMES if name_matcher(one)(name) and name_matcher(other)(name)]
    try:
        shared = name_intersect(one, other)
    except NotExpressibleError:
        return
    assert both == [name for name in NAMES if shared is not None and name_matcher(shared)(name)]


def naive(pattern: Segments, names: Segments) -> bool:
    if not pattern:
        return not names
    if pattern[0] == DEEP:
        return any(naive(pattern[1:], names[at:]) for at in range(len(names) + 1))
    return bool(names) and name_matcher(pattern[0])(names[0]) and naive(pattern[1:], names[1:])


@settings(deadline=None)
@given(path_patterns)
def test_a_path_pattern_matches_what_its_definition_says(pattern: Segments) -> None:
    assert [names for names in PATHS if matches(pattern, names)] == [names for names in PATHS if naive(pattern, names)]


@settings(deadline=None)
@given(path_patterns, path_patterns)
def test_a_path_pattern_that_covers_another_matches_all_that_it_does(wide: Segments, narrow: Segments) -> None:
    if covers(wide, narrow):
        assert all(naive(wide, names) for names in PATHS if naive(narrow, names))


@settings(deadline=None)
@given(path_patterns, path_patterns)
def test_what_two_path_patterns_share_is_exactly_that(one: Segments, other: Segments) -> None:
    try:
        shared = intersect(one, other)
    except NotExpressibleError:
        return
    both = [names for names in PATHS if naive(one, names) and naive(other, names)]
    assert both == [names for names in PATHS if any(naive(pattern, names) for pattern in shared)]


@pytest.mark.parametrize(
    ("wide", "narrow", "yes"),
    [
        ("a/**", "a", True),
        ("a/**", "a/b/c/**", True),
        ("a/*", "a/**", False),
        ("a/*", "a", False),
        ("**", "a/**/b", True),
        ("**/b", "a/**/b", True),
        ("a/**/b", "**/b", False),
        ("*/b", "a/b", True),
        ("a/*.csv", "a/x-*.csv", True),
        ("a/x-*.csv", "a/*.csv", False),
    ],
)
def test_covering_by_example(wide: str, narrow: str, yes: bool) -> None:
    assert covers(tuple(wide.split("/")), tuple(narrow.split("/"))) is yes


def test_braces_are_every_choice() -> None:
    assert expand("a/{b,c}.{x,y}") == ("a/b.x", "a/b.y", "a/c.x", "a/c.y")
    assert expand("a{,b}") == ("a", "ab")
    assert expand("[{]a,b[}]") == ("[{]a,b[}]",)
