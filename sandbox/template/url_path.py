"""What a URL's path means to a rule with `paths`, and the globs of such rules.

Pure. A path is judged as decoded once and free of dots; one on which two servers could disagree has no meaning here
(`None`): it matches every deny with `paths` and no allow with `paths`. That covers bad or double percent-encoding, encoded
slashes, `.` and `..` segments, empty segments, path parameters (`;`), backslashes, control characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

TARGET_LENGTH = 16 << 10
"""Characters of the longest path with query that is let through."""

# RFC 9112 3.2: a request target is visible ASCII; a fragment is never sent.
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH_ENCODED = re.compile(r"%(?:2[fF]|5[cC]|3[bB]|00)")
_STILL_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_ALTERNATIVES = 64
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\;]")


def is_request_target(target: str) -> bool:
    """Whether `target` can be sent at all: origin form, visible ASCII, no fragment, not too long."""
    return len(target) <= TARGET_LENGTH and _TARGET.fullmatch(target) is not None


def normalise_path(target: str) -> str | None:
    """The decoded, dot-free path of a request target (its query left off), or None where it could mean two things."""
    raw = target.partition("?")[0]
    if _BAD_PERCENT.search(raw) or _SLASH_ENCODED.search(raw):
        return None
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if _STILL_ENCODED.search(path) or _AMBIGUOUS.search(path) or not path.startswith("/"):
        return None
    segments = path.split("/")[1:]
    if any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
        return None
    return path


def path_prefixes(path: str) -> Iterator[str]:
    """The keys under which a glob that matches `path` can be filed: each leading run of whole segments, and `path` itself."""
    yield ""
    at = path.find("/", 1)
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def static_prefix(glob: str) -> str:
    """The whole leading segments of `glob` that hold no wildcard: `/v1` of `/v1/**`, `` of `/*`."""
    wild = re.search(r"[*?\[{]", glob)
    return glob if wild is None else glob[: glob.rfind("/", 0, wild.start())]


Segment = str | re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class PathGlob:
    """A compiled path glob: alternatives of segments, a plain name as itself, None for `**`.

    Matching takes at most segments × names steps, whatever the glob and the path: no pattern can be made slow.
    """

    alternatives: tuple[tuple[Segment, ...], ...]
    ignore_case: bool

    def matches(self, path: str) -> bool:
        """Whether the normalised `path` is one that the glob names."""
        names = (path.casefold() if self.ignore_case else path).split("/")[1:]
        return any(_match_segments(segments, names) for segments in self.alternatives)


def compile_glob(glob: str, *, ignore_case: bool = False) -> PathGlob:
    """The glob, compiled: `*` and `?` within a segment, `**` any depth, `{a,b}` and `[a-z]` choose; `/x/**` is `/x` and below.

    Raises ValueError where it does not begin with `/`, a bracket is not closed, `**` is not a whole segment, or the braces
    multiply beyond 64.
    """
    if not glob.startswith("/"):
        raise ValueError(f"`{glob}` does not begin with `/`")
    expanded = _expand_braces(glob.casefold() if ignore_case else glob)
    return PathGlob(tuple(tuple(map(_segment, one.split("/")[1:])) for one in expanded), ignore_case)


def _match_segments(segments: tuple[Segment, ...], names: list[str]) -> bool:
    at = name = 0
    star, resume = -1, 0
    while name < len(names):
        if at < len(segments) and segments[at] is None:
            star, resume, at = at, name, at + 1
        elif at < len(segments) and _match_name(segments[at], names[name]):
            at, name = at + 1, name + 1
        elif star >= 0:
            resume += 1
            at, name = star + 1, resume
        else:
            return False
    return all(segment is None for segment in segments[at:])


def _match_name(segment: Segment, name: str) -> bool:
    return segment == name if isinstance(segment, str) else segment is not None and segment.fullmatch(name) is not None


def _expand_braces(glob: str) -> list[str]:
    out = [""]
    rest = glob
    while "{" in rest:
        before, _, after = rest.partition("{")
        inner, closed, rest = after.partition("}")
        if not closed or "{" in inner or "}" in before:
            raise ValueError(f"`{glob}`: the braces do not match, or lie in one another")
        out = [f"{one}{before}{option}" for one in out for option in inner.split(",")]
        if len(out) > _ALTERNATIVES:
            raise ValueError(f"`{glob}`: the braces stand for more than {_ALTERNATIVES} globs")
    if "}" in rest:
        raise ValueError(f"`{glob}`: a `}}` without its `{{`")
    return [one + rest for one in out]


def _segment(glob: str) -> Segment:
    if glob == "**":
        return None
    if not any(character in glob for character in "*?[]"):
        return glob
    if "**" in glob:
        raise ValueError(f"`{glob}`: `**` stands for whole segments, as in `/v1/**`")
    chunks = [""]
    for part in re.findall(r"\[[^\]]*\]|.", glob, re.DOTALL):
        if part == "*":
            chunks.append("")
        else:
            chunks[-1] += _character(part, glob)
    if len(chunks) == 1:
        return re.compile(chunks[0], re.DOTALL)
    # Atomic groups: once a chunk is found, an earlier star never needs another try, so matching cannot explode.
    middle = "".join(f"(?>.*?{chunk})" for chunk in chunks[1:-1])
    # A wildcard never stands for an empty name: `/x/*` is not `/x/`.
    return re.compile(f"(?=.){chunks[0]}{middle}.*{chunks[-1]}", re.DOTALL)


def _character(part: str, glob: str) -> str:
    if len(part) > 1:
        return _class(part[1:-1], glob)
    if part in "[]":
        raise ValueError(f"`{glob}`: a `[` without its `]`")
    return "." if part == "?" else re.escape(part)


def _class(inner: str, glob: str) -> str:
    negated = inner.startswith(("!", "^"))
    members = inner[1:] if negated else inner
    if not members:
        raise ValueError(f"`{glob}`: an empty `[]`")
    # A `-` between two characters is a range; all else stands for itself.
    return f"[{'^' if negated else ''}{re.sub(r'[^-A-Za-z0-9]', lambda found: re.escape(found[0]), members)}]"
