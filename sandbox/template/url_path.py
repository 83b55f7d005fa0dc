"""What a URL's path means to a rule with `paths`, and the globs of such rules.

Pure. A path is judged as decoded once and free of dots; one on which two servers could disagree has no meaning here
(`None`): it matches every deny with `paths` and no allow with `paths`. That covers bad or double percent-encoding, encoded
slashes, `.` and `..` segments, empty segments, path parameters (`;`), backslashes, control characters, and more segments than
any real path has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from sandbox.policy import globs

TARGET_LENGTH = 16 << 10
"""Characters of the longest path with query that is let through."""

_SEGMENTS = 256

# RFC 9112 3.2: a request target is visible ASCII; a fragment is never sent.
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH_ENCODED = re.compile(r"%(?:2[fF]|5[cC]|3[bB]|00)")
_STILL_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
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
    if len(segments) > _SEGMENTS or any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
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


@dataclass(frozen=True, slots=True)
class PathGlob:
    """A glob of `sandbox.policy.globs` over normalised paths; with `ignore_case`, whatever the case of the letters."""

    patterns: tuple[tuple[str, ...], ...]
    ignore_case: bool

    def matches(self, path: str) -> bool:
        """Whether the normalised `path` is one that the glob names; in time of pattern × path, whatever they are."""
        names = tuple((path.casefold() if self.ignore_case else path).split("/")[1:])
        return any(globs.matches(pattern, names) for pattern in self.patterns)

    @property
    def prefixes(self) -> frozenset[str]:
        """For each pattern its leading names without a wildcard, as `path_prefixes` gives them: `/v1` of `/v1/**`."""
        return frozenset("".join(f"/{name}" for name in _literals(pattern)) for pattern in self.patterns)


def compile_glob(glob: str, *, ignore_case: bool = False) -> PathGlob:
    """The glob, compiled. Raises ValueError where it does not begin with `/`, or is no glob."""
    if not glob.startswith("/"):
        raise ValueError(f"`{glob}` does not begin with `/`")
    patterns = tuple(tuple(one.split("/")[1:]) for one in globs.expand(glob.casefold() if ignore_case else glob))
    return PathGlob(patterns, ignore_case)


def _literals(pattern: tuple[str, ...]) -> Iterator[str]:
    for name in pattern:
        literal = None if name == globs.DEEP else globs.literal(name)
        if literal is None:
            return
        yield literal
