"""The closed list of credentials that are recognised by their looks, and of the names that tell a secret.

Decides what looks like a secret in one piece of text; `sandbox.redaction.redact` walks values and decodes. Rules: every
expression is linear in the text, adversarial text included (a repeated class is possessive and starts only where its run
starts, or is bounded); every one has an anchor, a substring without which it is not tried; a marker never matches again.

Sources: the providers' documented key formats; RFC 7519 (JWT), RFC 7468 (PEM), RFC 6750 and 7617 (bearer, basic),
RFC 3986 (userinfo).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

Hide = Callable[[re.Match[str]], tuple[str, str] | None]
"""Turns a match into (replacement, kind), or None to leave it."""


def marker(kind: str) -> str:
    """What stands where a secret stood: `[REDACTED:KIND]`, the kind in upper case."""
    return f"[REDACTED:{re.sub(r'[^A-Z0-9_]', '_', kind.upper())[:64].strip('_')}]"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One well-known credential: tried where one of `anchors` is in the text (lower-cased text, if `folded`)."""

    kind: str
    anchors: tuple[str, ...]
    expression: re.Pattern[str]
    hide: Hide


def _whole(kind: str) -> Hide:
    return lambda _match: (marker(kind), kind)


def _key(kind: str, anchors: tuple[str, ...], expression: str) -> Pattern:
    return Pattern(kind, anchors, re.compile(expression), _whole(kind))


def _bearer(match: re.Match[str]) -> tuple[str, str] | None:
    value = match[3]
    if len(value) < 24 and not any(letter.isdigit() for letter in value):
        return None  # "bearer certificates" is prose
    return f"{match[1]}{match[2]}{marker('BEARER_TOKEN')}", "BEARER_TOKEN"


def _basic(match: re.Match[str]) -> tuple[str, str] | None:
    try:
        decoded = base64.b64decode(match[3] + "=" * (-len(match[3]) % 4), validate=True)
    except binascii.Error:
        return None
    return (f"{match[1]}{match[2]}{marker('BASIC_CREDENTIAL')}", "BASIC_CREDENTIAL") if b":" in decoded else None


def _userinfo(match: re.Match[str]) -> tuple[str, str] | None:
    return None if match[2].startswith("[REDACTED:") else (f"{match[1]}{marker('URL_PASSWORD')}@", "URL_PASSWORD")


_BODY = r".*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)"
_START = r"(?<![A-Za-z0-9_-])"

_AWS = ("AKIA", "ASIA", "ABIA", "ACCA")
_BARE_USERINFO = (
    r"""((?<![^\s"'=,;(\[])(?!(?i:mailto|acct|sips?|xmpp|im|https?|s?ftp):)[A-Za-z0-9._~%+-]{1,64}+:)"""
    r"""([^\s/?#@:"']{3,512}+)@(?=[A-Za-z0-9\[])"""
)
_BASIC = re.compile(r"(?i)(?<![a-z])(basic)(\s{1,4})([A-Za-z0-9+/]{6,}+)={0,2}")

PATTERNS: tuple[Pattern, ...] = (
    _key("PRIVATE_KEY", ("-----BEGIN ",), r"(?s)-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----" + _BODY),
    _key("ANTHROPIC_API_KEY", ("sk-ant-",), _START + r"sk-ant-[A-Za-z0-9_-]{16,}+"),
    _key("OPENAI_API_KEY", ("sk-",), _START + r"sk-(?!ant-)(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{16,}+"),
    _key("AWS_ACCESS_KEY_ID", _AWS, rf"(?<![A-Za-z0-9])(?:{'|'.join(_AWS)})[A-Z0-9]{{16}}(?![A-Za-z0-9])"),
    _key("GOOGLE_API_KEY", ("AIza",), r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}"),
    _key("GOOGLE_OAUTH", ("ya29.", "GOCSPX-"), r"(?<![A-Za-z0-9])(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}+"),
    _key("GITHUB_TOKEN", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _START + r"gh[pousr]_[A-Za-z0-9]{36,}+"),
    _key("GITHUB_TOKEN", ("github_pat_",), _START + r"github_pat_[A-Za-z0-9_]{22,}+"),
    _key("GITLAB_TOKEN", ("glpat-",), _START + r"glpat-[A-Za-z0-9_-]{20,}+"),
    _key("SLACK_TOKEN", ("xox",), _START + r"xox[abeoprs]-[A-Za-z0-9-]{10,}+"),
    _key("HUGGING_FACE_TOKEN", ("hf_",), _START + r"hf_[A-Za-z0-9]{30,}+"),
    _key("STRIPE_KEY", ("k_live_", "k_test_", "whsec_"), _START + r"(?:[prs]k_(?:live|test)_|whsec_)[A-Za-z0-9]{10,}+"),
    _key("JWT", ("eyJ",), r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]*+"),
    Pattern("BEARER_TOKEN", ("earer", "EARER"), re.compile(r"(?i)(?<![a-z])(bearer)(\s{1,4})([A-Za-z0-9._~+/=-]{8,}+)"), _bearer),
    Pattern("BASIC_CREDENTIAL", ("asic", "ASIC"), _BASIC, _basic),
    Pattern("URL_PASSWORD", ("://",), re.compile(r"(://[^\s/?#@:]{0,256}+:)([^\s/?#]{1,512})@"), _userinfo),
    # A token alone before the host; `git@` and other names are shorter.
    Pattern("URL_PASSWORD", ("://",), re.compile(r"(://)([^\s/?#@:]{16,512}+)@"), _userinfo),
    # An authority without its scheme. `mailto:` and its like have an address behind the colon.
    Pattern("URL_PASSWORD", ("@",), re.compile(_BARE_USERINFO), _userinfo),
)

_ANCHORS = re.compile("|".join(re.escape(anchor) for pattern in PATTERNS for anchor in pattern.anchors))

_NAME = re.compile(
    r"""(?<![A-Za-z0-9_.-])(?:(?P<flag>--[A-Za-z0-9_-]++)[ \t]{1,8}"""
    r"""|(?P<name>[A-Za-z0-9_.-]++)\\*["']?[ \t]{0,8}(?P<sign>=|:(?!//))[ \t]{0,8})"""
)
"""`--name `, `name=`, `name: `, `"name": `, the quotes also escaped. What follows is looked at only if the name is telling."""

_QUOTED = re.compile(r"""(?P<open>\\*["'])""")
_IN_QUOTES = {
    '"': re.compile(r"""(?:[^"\\]++|\\.)++""", re.DOTALL),
    "'": re.compile(r"""(?:[^'\\]++|\\.)++""", re.DOTALL),
    "\\": re.compile(r"""[^"'\\]++(?:\\++[^"'\\]++)*+"""),
}
_TO_LINE_END = re.compile(r"""[^\r\n"']++""")
_WORD = re.compile(r"""[^\s"'&;]++""")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TELLING = re.compile(
    r"passwords?|passwd|passphrase|passcode|pwd|secrets?|token|apikey|credentials?|authorization|cookie"
    r"|privatekey|accesskey|secretkey|authkey|dsn|sig"
)
_KEY_OF = frozenset({"api", "access", "private", "secret", "auth", "signing", "encryption", "master", "session", "account"})
_PAIRS = frozenset({("pass", "word"), ("pass", "phrase"), ("connection", "string"), ("amz", "signature")})
_HARMLESS = re.compile(r"count|limit|length|size|type|policy|name|url|uri|endpoint|expiry|expires|ttl|hint|field|id|file|path")


@lru_cache(maxsize=4096)
def telling(name: str) -> bool:
    """Whether a variable, key or header of that name holds a secret: `GITHUB_TOKEN`, `db.password`, `x-api-key`."""
    words = [word.lower() for word in _WORDS.findall(name[:256])]
    if len(words) > 1 and _HARMLESS.fullmatch(words[-1]):
        return False
    pairs = list(pairwise(words))
    return any(map(_TELLING.fullmatch, words)) or any(
        pair in _PAIRS or (pair[1] == "key" and pair[0] in _KEY_OF) for pair in pairs
    )


def hide_assignments(text: str, hidden: set[str]) -> str:
    """`text` with the values of telling names replaced; the kinds go into `hidden`."""
    if "=" not in text and ":" not in text and "--" not in text:
        return text
    done, at, parts = 0, 0, []
    while found := _NAME.search(text, at):
        name, at = (found["flag"] or found["name"]).strip(".-"), found.end()
        if not telling(name):
            continue
        start, value = _value(text, found)
        if value is None or value[0].startswith("[REDACTED:"):
            continue
        parts += [text[done:start], marker(name)]
        hidden.add(name.upper()[:64])
        done = at = value.end()
    return text if not parts else "".join([*parts, text[done:]])


def _value(text: str, found: re.Match[str]) -> tuple[int, re.Match[str] | None]:
    opened = _QUOTED.match(text, found.end())
    if opened is not None:
        return opened.end(), _IN_QUOTES[opened["open"][0]].match(text, opened.end())
    return found.end(), (_TO_LINE_END if found["sign"] == ":" else _WORD).match(text, found.end())


def hide_credentials(text: str, hidden: set[str]) -> str:
    """`text` with every well-known credential replaced; the kinds go into `hidden`."""
    if _ANCHORS.search(text) is None:
        return text
    for pattern in PATTERNS:
        if any(anchor in text for anchor in pattern.anchors):
            text = pattern.expression.sub(lambda match, pattern=pattern: _apply(pattern, match, hidden), text)  # type: ignore[misc]
    return text


def _apply(pattern: Pattern, match: re.Match[str], hidden: set[str]) -> str:
    replaced = pattern.hide(match)
    if replaced is None:
        return match[0]
    hidden.add(replaced[1])
    return replaced[0]
