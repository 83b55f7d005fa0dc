"""Names that tell a secret, and what is assigned to them in a text.

Decides which name is telling, what an assignment looks like, how far its value goes, and which values tell nothing: a type, a
placeholder, the place that a program reads the secret from. Rules: linear in the text; the value of a telling name is hidden
however short it is; where it cannot be told whether a value is one, it is hidden.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from sandbox.redaction.patterns import hide_credentials, marker
from sandbox.redaction.signs import Signs

NAMELESS = "SECRET"
"""What a marker says of a value whose name holds a secret too."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TELLING = re.compile(
    r"passwords?|passwd|passphrase|passcode|pwd|secrets?|token|apikey|credentials?|authorization|cookie"
    r"|privatekey|accesskey|secretkey|authkey|dsn|sig"
)
_KEY_OF = frozenset({"api", "access", "private", "secret", "auth", "signing", "encryption", "master", "session", "account"})
_PAIRS = frozenset({("pass", "word"), ("pass", "phrase"), ("connection", "string"), ("amz", "signature")})
_HARMLESS = re.compile(
    r"count|limit|length|size|type|policy|name|url|uri|endpoint|expiry|expires|ttl|hint|field|id|file|path"
    r"|required|enabled|valid|expired|format|rotation|label|placeholder|strength|status|age|usage|min|max"
)
_PARTS = "pass|pwd|secret|token|key|credential|authorization|cookie|dsn|sig|connection"
"""One of them is in every telling name; a test holds that."""

_SIGNS = Signs(
    rf"(?i:{_PARTS})[A-Za-z0-9_.-]*(?:\\*[\"']?[ \t]{{0,8}}[=:]|>|[ \t]{{1,4}}')"
    rf"|--[A-Za-z0-9_-]*(?i:{_PARTS})[A-Za-z0-9_-]*[ \t]"
)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_LONGEST = 256

_NAME = re.compile(
    r"""(?P<flag>--[A-Za-z0-9_-]++)[ \t]{1,8}"""
    r"""|(?P<name>[A-Za-z0-9_.-]++)(?:\\*["']?[ \t]{0,8}(?P<sign>:=|=>|={1,3}|:(?!//))[ \t]{0,8}|(?P<tag>>)|[ \t]{1,4}(?='))"""
)
"""`--name `, `name=`, `name: `, `"name": `, the quotes also escaped; `<name>`; `NAME 'value'`. The name is then asked."""

_TYPES = (
    r"str|string|bytes|text|secretstr|secret_?string|pydantic\.SecretStr|char|number|integer|int|boolean|bool|object|array|any"
)
_ANNOTATION = re.compile(
    rf"(?i)(?:optional\[)?&?(?:{_TYPES})\b[\]*?]{{0,2}}(?:[ \t]{{0,4}}\|[ \t]{{0,4}}(?:none|null))?[ \t]{{0,4}}=[ \t]{{0,4}}"
)
_BLOCK = re.compile(r"[|>][+-]?[0-9]?[ \t]*\r?\n(?P<block>(?:[ \t]++[^\r\n]*+(?:\r?\n|\Z))++)")
_NOTHING = re.compile(
    rf"(?i)(?:(?:optional\[)?(?:{_TYPES}|none|null|nil|undefined|true|false|yes|no"
    r"|required|optional|next|missing|empty|unset|not set)"
    r"(?![A-Za-z0-9_])[\]?]{0,2}(?:[ \t]{0,4}\|[ \t]{0,4}(?:none|null|undefined))?(?=[ \t]*(?:[\r\n,;)}\]#&]|//|->|\Z))"
    r"|\*{3,}(?=[\s\"',;]|\Z)|<[a-z][a-z0-9 _-]{0,60}>"
    r"|(?:os\.|process\.|System\.|std::|import\.meta\.)?(?:getenv|environ|env)\b[.(\[]|(?-i:ENV)\["
    r"|(?:getpass|input|prompt)(?:\.getpass)?\("
    r"|(?:self|this|args|kwargs|options|params|config|settings|request|req|secrets|keyring|vault)"
    r"\.[a-z_][a-z0-9_.]{0,60}[\[(,;) \t\r\n]"
    r"|\$\{\{?[ \t]{0,2}[a-z_][a-z0-9_.]{0,80}[ \t]{0,2}\}|\$\([a-z]|\{\{[ \t]{0,2}[a-z_.]|%\([a-z_]{1,60}\)s)"
)
"""A type in a schema or signature, nothing, stars, a placeholder, or where a program reads it from: this hides no secret."""

_QUOTED = re.compile(r"""(?P<open>\\*["'])""")
_IN_QUOTES = {
    '"': re.compile(r"""(?:[^"\\]++|\\.)++""", re.DOTALL),
    "'": re.compile(r"""(?:[^'\\]++|\\.)++""", re.DOTALL),
    "\\": re.compile(r"""[^"'\\]++(?:\\++[^"'\\]++)*+"""),
}
_TO_LINE_END = re.compile(r"""(?:[^\r\n"']|(?<=\w)'(?=\w))++""")
_TO_TAG = re.compile(r"[^<]++")
_WORD = re.compile(r"""[^\s"'&;]++""")


@lru_cache(maxsize=4096)
def telling(name: str) -> bool:
    """Whether a variable, key or header of that name holds a secret: `GITHUB_TOKEN`, `db.password`, `x-api-key`."""
    words = [word.lower() for word in _WORDS.findall(name[:_LONGEST])]
    if len(words) > 1 and _HARMLESS.fullmatch(words[-1]):
        return False
    pairs = list(pairwise(words))
    return any(map(_TELLING.fullmatch, words)) or any(
        pair in _PAIRS or (pair[1] == "key" and pair[0] in _KEY_OF) for pair in pairs
    )


def hide_assignments(text: str, hidden: set[str]) -> str:
    """`text` with the values of telling names replaced; the kinds go into `hidden`."""
    next_sign = _SIGNS.within(text)
    done, at, parts = 0, 0, []
    while (sign := next_sign(at)) is not None:
        at = sign.end()
        found = _NAME.match(text, _beginning(text, sign.start(), done))
        if found is None:
            continue
        at = max(at, found.end())
        name = (found["flag"] or found["name"]).strip(".-")
        place = _value(text, found, name) if telling(name) else None
        if place is None:
            continue
        start, at = place
        kind = name if hide_credentials(name, set()) == name else NAMELESS
        parts += [text[done:start], marker(kind)]
        hidden.add(kind.upper()[:64])
        done = at
    return text if not parts else "".join([*parts, text[done:]])


def _beginning(text: str, at: int, done: int) -> int:
    """Where the name begins that has a telling part at `at`."""
    before = text[max(done, at - _LONGEST) : at]
    return at - len(before) + len(before.rstrip(_LETTERS))


def _value(text: str, found: re.Match[str], name: str) -> tuple[int, int] | None:
    """Where the value of an assignment begins and ends; None where there is none, or one that tells nothing."""
    at = found.end()
    if found["tag"] and text[found.start() - 1 : found.start()] not in ("<", ":"):
        return None
    if found["sign"] == ":" and (annotation := _ANNOTATION.match(text, at)) is not None:
        at = annotation.end()
    if (block := _BLOCK.match(text, at)) is not None:
        return block.start("block"), block.end()
    if text.startswith("[REDACTED:", at) or _NOTHING.match(text, at) is not None:
        return None
    opened = _QUOTED.match(text, at)
    if opened is not None:
        value = _IN_QUOTES[opened["open"][0]].match(text, opened.end())
        quoted = value is not None and (value[0].startswith(("[REDACTED:", "${")) or _stars(value[0]))
        return None if value is None or quoted else value.span()
    value = (_TO_TAG if found["tag"] else _TO_LINE_END if found["sign"] == ":" else _WORD).match(text, at)
    # `login(password=password)` says nothing.
    return None if value is None or value[0].rstrip(",)").strip() in ("", name) else value.span()


def _stars(value: str) -> bool:
    return len(value) > 2 and not value.strip("*")
