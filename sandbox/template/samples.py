"""Concrete texts that a pattern names: what an example of a difference between two policies is made of.

Pure. A pattern has without end many texts; here are a few, chosen so that another pattern which names most of them is told
apart from one that names all: a run of characters as nothing, as a word, as characters that policies seldom write; `**` as no
name, as one, as two. Each is checked against the pattern before it leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product

from sandbox.policy.globs import DEEP, Segments, literal, matches, name_matcher, name_tokens

WORDS = ("example", "zq7", "0", "~_", "")
"""What a `*` stands for; the empty one last, since it reads least well."""

CHARACTERS = "x7_~aZ-"
MAX_NAMES = 24
MAX_PATHS = 48
_DEPTHS: tuple[Segments, ...] = (("*",), (), ("*", "*"))


def names(pattern: str) -> tuple[str, ...]:
    """Names that match the pattern of one name (braces expanded), the plainest first."""
    only = literal(pattern)
    if only is not None:
        return (only,)
    wanted = name_matcher(pattern)
    choices = [tuple(_choices(kind, text)) for kind, text in name_tokens(pattern)]
    found = ("".join(parts) for parts in _in_step(choices))
    return tuple(islice(dict.fromkeys(name for name in found if _is_name(name) and wanted(name)), MAX_NAMES))


def paths(pattern: Segments) -> tuple[str, ...]:
    """Absolute paths that match the segments, the plainest first."""
    found: dict[str, None] = {}
    for depths in product(_DEPTHS, repeat=pattern.count(DEEP)):
        filling = iter(depths)
        segments = tuple(name for part in pattern for name in (next(filling) if part == DEEP else (part,)))
        for chosen in islice(_in_step([names(name) for name in segments]), MAX_NAMES):
            if matches(pattern, chosen):
                found["/" + "/".join(chosen)] = None
    return tuple(sorted(found, key=lambda path: ("example" not in path, path.count("/"), len(path)))[:MAX_PATHS])


def _in_step(choices: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Combinations: first every place's first, second, … choice together, then each with each."""
    if not all(choices):
        return
    most = max((len(each) for each in choices), default=1)
    yield from (tuple(each[at % len(each)] for each in choices) for at in range(most))
    yield from islice(product(*choices), MAX_NAMES)


def _choices(kind: str, text: str) -> Iterator[str]:
    if kind == "star":
        yield from WORDS
    elif kind == "char":
        yield text
    else:
        # `?`, or a set of characters: the text holds the ends of its ranges.
        yield from (char for char in (*CHARACTERS, *text) if re.fullmatch(text, char))


def _is_name(name: str) -> bool:
    return name not in {"", ".", ".."} and "/" not in name
