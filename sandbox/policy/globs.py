"""Globs over names and paths: what they match, whether one covers another, what two have in common.

In one name `*` is any run of characters, `?` one character, `[a-z]` one of a set; `{a,b}` chooses and is expanded before
anything else; `**` is a whole segment and any depth. A leading dot is a character like any other. Used for storage paths
(split at `/`), URL paths and environment names.

Rules:
- Matching takes time proportional to name times pattern, whatever the pattern: every run between two stars is matched by an
  atomic group that is never entered again (ATTACKS: expressions that backtrack for ever).
- `covers` never says yes wrongly; it may say no where a cleverer proof exists.
- `intersect` is exact or raises `NotExpressibleError`: a ceiling must not be applied by guess.
- A character that would be special is written as a set of one, `[*]`; `literal` reads it back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from sandbox.policy.refusal import Refusal, quoted

DEEP = "**"
MAX_PATTERN = 4096
MAX_ALTERNATIVES = 64
MAX_NAMES = 128
MAX_DEEP = 4
_TOKEN = re.compile(r"\[([^\]/]+)\]|\*|\?|[^\[*?]", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[{]")
Segments = tuple[str, ...]


class NotExpressibleError(ValueError):
    """Two patterns overlap in a way that no pattern of this language says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A name pattern taken apart: the literal text before its first and after its last wildcard, and its least length."""

    prefix: str
    suffix: str
    least: int
    stars: int


def expand(pattern: str) -> tuple[str, ...]:
    """The pattern without braces: one pattern for each choice. Raises `Refusal` for broken braces, sets and stars."""
    if len(pattern) > MAX_PATTERN:
        raise Refusal(f"a pattern of {len(pattern)} characters is too long", f"write at most {MAX_PATTERN} characters")
    names = pattern.split("/")
    if len(names) > MAX_NAMES or names.count(DEEP) > MAX_DEEP:
        raise Refusal(f"{quoted(pattern)} has too many names", f"write at most {MAX_NAMES} names and {MAX_DEEP} `**`")
    parts = _split_braces(pattern)
    count = 1
    for choices in parts:
        count *= len(choices)
    if count > MAX_ALTERNATIVES:
        raise Refusal(f"{quoted(pattern)} stands for more than {MAX_ALTERNATIVES} patterns", "write fewer `{…}` choices")
    expanded = tuple(dict.fromkeys("".join(choice) for choice in product(*parts)))
    for one in expanded:
        _check_names(one, pattern)
    return expanded


def escape(text: str) -> str:
    """`text` as a pattern that matches it alone."""
    return _SPECIAL.sub(lambda match: f"[{match[0]}]", text)


@lru_cache(maxsize=16384)
def literal(name: str) -> str | None:
    """The only name that the pattern matches, or None where it has a wildcard."""
    if _SPECIAL.search(name) is None:
        return name
    tokens = name_tokens(name)
    if any(kind != "char" for kind, _ in tokens):
        return None
    return "".join(text for _, text in tokens)


@lru_cache(maxsize=4096)
def shape(name: str) -> Shape:
    """Prefix, suffix, least length and number of stars of a name pattern."""
    tokens = name_tokens(name)
    plain = [index for index, (kind, _) in enumerate(tokens) if kind != "char"]
    first, last = (plain[0], plain[-1]) if plain else (len(tokens), -1)
    prefix = "".join(text for _, text in tokens[:first])
    suffix = "".join(text for _, text in tokens[last + 1 :])
    stars = sum(kind == "star" for kind, _ in tokens)
    return Shape(prefix, suffix, len(tokens) - stars, stars)


@lru_cache(maxsize=4096)
def name_matcher(name: str) -> Callable[[str], bool]:
    """A test for one name against a pattern without braces, in time linear in the name."""
    only = literal(name)
    if only is not None:
        return only.__eq__
    if name == "*":
        return bool
    matches = re.compile(_regex(name), re.DOTALL).fullmatch
    return lambda text: matches(text) is not None


def matches(pattern: Segments, names: Segments) -> bool:
    """Whether the names match the segments, `**` standing for any number of names, none included."""
    active = {0}
    for name in names:
        active = {after for at in _closure(active, pattern) for after in _step(pattern, at, name)}
    return len(pattern) in _closure(active, pattern)


def covers(wide: Segments, narrow: Segments) -> bool:
    """Whether every path that `narrow` matches is certainly matched by `wide` too."""
    known: dict[tuple[int, int], bool] = {}

    def below(i: int, j: int) -> bool:
        if (i, j) not in known:
            known[i, j] = compute(i, j)
        return known[i, j]

    def compute(i: int, j: int) -> bool:
        if i == len(wide):
            return j == len(narrow)
        if wide[i] == DEEP:
            return below(i + 1, j) or (j < len(narrow) and below(i, j + 1))
        return j < len(narrow) and narrow[j] != DEEP and name_covers(wide[i], narrow[j]) and below(i + 1, j + 1)

    return below(0, 0)


def intersect(one: Segments, other: Segments) -> tuple[Segments, ...]:
    """Patterns that together match exactly what both match; empty where nothing does. Raises `NotExpressibleError`."""
    if not one or not other:
        return _intersect_with_nothing(one or other)
    if one == (DEEP,):
        return (other,)
    if other == (DEEP,):
        return (one,)
    if one[0] == DEEP and other[0] == DEEP:
        shared = (*intersect(one[1:], other), *intersect(one, other[1:]))
        return _without_covered(tuple((DEEP, *rest) if rest[:1] != (DEEP,) else rest for rest in shared))
    if other[0] == DEEP:
        one, other = other, one
    if one[0] == DEEP:
        skipped = intersect(one[1:], other)
        taken = tuple((other[0], *rest) for rest in intersect(one, other[1:]))
        return _without_covered((*skipped, *taken))
    name = name_intersect(one[0], other[0])
    return () if name is None else tuple((name, *rest) for rest in intersect(one[1:], other[1:]))


def name_covers(wide: str, narrow: str) -> bool:
    """Whether every name that `narrow` matches is certainly matched by `wide` too."""
    if wide in {"*", narrow}:
        return True
    only = literal(narrow)
    if only is not None:
        return name_matcher(wide)(only)
    outer, inner = shape(wide), shape(narrow)
    # One star and only characters beside it: the pattern says prefix, suffix and least length, and nothing else.
    simple = outer.stars == 1 and outer.least == len(outer.prefix) + len(outer.suffix)
    return simple and inner.prefix.startswith(outer.prefix) and inner.suffix.endswith(outer.suffix) and inner.least >= outer.least


def name_intersect(one: str, other: str) -> str | None:
    """A pattern for the names that both match, None where no name does. Raises `NotExpressibleError`."""
    if name_covers(one, other):
        return other
    if name_covers(other, one):
        return one
    if literal(one) is not None or literal(other) is not None:
        return None
    a, b = shape(one), shape(other)
    apart = not (a.prefix.startswith(b.prefix) or b.prefix.startswith(a.prefix))
    if apart or not (a.suffix.endswith(b.suffix) or b.suffix.endswith(a.suffix)):
        return None
    raise NotExpressibleError(f"`{one}` and `{other}`")


def _intersect_with_nothing(rest: Segments) -> tuple[Segments, ...]:
    return ((),) if all(segment == DEEP for segment in rest) else ()


def _without_covered(patterns: tuple[Segments, ...]) -> tuple[Segments, ...]:
    kept: list[Segments] = []
    for pattern in dict.fromkeys(patterns):
        if not any(covers(other, pattern) for other in kept):
            kept = [other for other in kept if not covers(pattern, other)] + [pattern]
    return tuple(kept)


def _closure(active: set[int], pattern: Segments) -> set[int]:
    reached = set(active)
    for at in sorted(active):
        after = at
        while after < len(pattern) and pattern[after] == DEEP:
            after += 1
            reached.add(after)
    return reached


def _step(pattern: Segments, at: int, name: str) -> Sequence[int]:
    if at == len(pattern):
        return ()
    if pattern[at] == DEEP:
        return (at,)
    return (at + 1,) if name_matcher(pattern[at])(name) else ()


def name_tokens(name: str) -> tuple[tuple[str, str], ...]:
    """The pattern of one name as (`char`, text), (`one`, regex), (`star`, "")."""
    tokens: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(name):
        text = match[0]
        if text == "*":
            if not tokens or tokens[-1][0] != "star":
                tokens.append(("star", ""))
        elif text == "?":
            tokens.append(("one", "."))
        elif match[1] is None:
            tokens.append(("char", text))
        elif len(match[1]) == 1:
            tokens.append(("char", match[1]))
        else:
            tokens.append(("one", _set_regex(match[1])))
    return tuple(tokens)


def _regex(name: str) -> str:
    runs: list[str] = [""]
    for kind, text in name_tokens(name):
        if kind == "star":
            runs.append("")
        else:
            runs[-1] += re.escape(text) if kind == "char" else text
    if len(runs) == 1:
        return runs[0]
    middle = "".join(f"(?>.*?{run})" for run in runs[1:-1] if run)
    return f"{runs[0]}{middle}.*{runs[-1]}"


def _set_regex(content: str) -> str:
    members: list[str] = []
    at = 0
    while at < len(content):
        if at + 2 < len(content) and content[at + 1] == "-":
            members.append(f"{re.escape(content[at])}-{re.escape(content[at + 2])}")
            at += 3
        else:
            members.append(re.escape(content[at]))
            at += 1
    return f"[{''.join(members)}]"


def _split_braces(pattern: str) -> list[tuple[str, ...]]:
    """The pattern as a list of choices; text outside braces is a choice of one."""
    parts: list[tuple[str, ...]] = []
    plain, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            end = _end_of_set(pattern, at)
            plain, at = plain + pattern[at:end], end
        elif char == "{":
            choices, at = _choices(pattern, at)
            parts += [(plain,), choices]
            plain = ""
        else:
            plain, at = plain + char, at + 1
    return [*parts, (plain,)]


def _end_of_set(pattern: str, at: int) -> int:
    end = pattern.find("]", at + 1)
    content = pattern[at + 1 : end]
    if end < 0 or not content:
        raise Refusal(f"{quoted(pattern)} has a `[` that is not closed", "write `[[]` for the character itself")
    if content[0] in "!^" and len(content) > 1:
        raise Refusal(f"{quoted(pattern)} has a negated set", "write the characters that are meant: `[a-z]`")
    if "/" in content:
        raise Refusal(f"{quoted(pattern)} has a `/` in a set", "a set is one character of one name")
    backwards = next((low + "-" + high for low, high in re.findall(r"(.)-(.)", content) if low > high), None)
    if backwards is not None:
        raise Refusal(f"{quoted(pattern)} has the backward range `[{backwards}]`", f"write `[{backwards[::-1]}]`")
    return end + 1


def _choices(pattern: str, at: int) -> tuple[tuple[str, ...], int]:
    choices, current, here = [], "", at + 1
    while here < len(pattern) and pattern[here] != "}":
        char = pattern[here]
        if char in "{/":
            what = "braces inside braces" if char == "{" else "a `/` inside braces"
            raise Refusal(f"{quoted(pattern)} has {what}", "write one entry for each")
        if char == "[":
            end = _end_of_set(pattern, here)
            current, here = current + pattern[here:end], end
            continue
        if char == ",":
            choices.append(current)
            current = ""
        else:
            current += char
        here += 1
    if here == len(pattern):
        raise Refusal(f"{quoted(pattern)} has a `{{` that is not closed", "write `[{]` for the character itself")
    return (*choices, current), here + 1


def _check_names(expanded: str, written: str) -> None:
    deep = [segment for segment in expanded.split("/") if DEEP in segment]
    if any(segment != DEEP for segment in deep) or len(deep) != written.split("/").count(DEEP):
        raise Refusal(f"{quoted(written)} has `**` beside other characters", "`**` is a whole name: `/a/**`, `/a/**/*.txt`")
