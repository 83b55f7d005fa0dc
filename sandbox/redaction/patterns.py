"""The closed list of credentials that are recognised by their looks.

Decides what looks like a secret in one piece of text, without its name; what a name tells is `assignments`, and `redact` walks
values and decodes. Rules: every expression is linear in the text, adversarial text included: it is tried only where one of its
signs stands, `lead` letters after its beginning, a repeated class is possessive and starts only where its run starts, or is
bounded; no sign stands in another one; a marker never matches again. `tests/redaction/kinds.py` has what each finds and leaves.

Sources: the providers' documented key formats; RFC 7519 (JWT), RFC 7468 (PEM), RFC 6750 and 7617 (bearer, basic),
RFC 3986 (userinfo).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sandbox.redaction.signs import Signs

Hide = Callable[[re.Match[str]], tuple[str, ...] | None]
"""Turns a match into its replacement and the kinds that it hides, or None to leave it."""
Place = tuple[int, int, tuple[str, ...]]
"""Where something begins and ends, and what `Hide` made of it."""


def marker(kind: str) -> str:
    """What stands where a secret stood: `[REDACTED:KIND]`, the kind in upper case."""
    return f"[REDACTED:{re.sub(r'[^A-Z0-9_]', '_', kind.upper())[:64].strip('_')}]"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One well-known credential: tried `lead` letters before each of `signs`."""

    kind: str
    signs: tuple[str, ...]
    expression: re.Pattern[str]
    hide: Hide
    lead: int = 0


def _key(kind: str, signs: str, expression: str, lead: int = 0) -> Pattern:
    return Pattern(kind, tuple(signs.split()), re.compile(expression), lambda _match: (marker(kind), kind), lead)


def _bearer(match: re.Match[str]) -> tuple[str, ...] | None:
    value = match[3]
    if len(value) < 24 and not any(letter.isdigit() for letter in value):
        return None  # "bearer certificates" is prose
    return f"{match[1]}{match[2]}{marker('BEARER_TOKEN')}", "BEARER_TOKEN"


def _basic(match: re.Match[str]) -> tuple[str, ...] | None:
    try:
        decoded = base64.b64decode(match[3] + "=" * (-len(match[3]) % 4), validate=True)
    except binascii.Error:
        return None
    return (f"{match[1]}{match[2]}{marker('BASIC_CREDENTIAL')}", "BASIC_CREDENTIAL") if b":" in decoded else None


def _userinfo(match: re.Match[str]) -> tuple[str, ...] | None:
    return None if match[2].startswith("[REDACTED:") else (f"{match[1]}{marker(USERINFO)}@", USERINFO)


def _both(match: re.Match[str]) -> tuple[str, ...]:
    ids, secret = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
    return f"{marker(ids)}{match[2]}{marker(secret)}", ids, secret


_PEM, _PEM_END = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", r"-----END [A-Z0-9 ]{0,40}-----"
_PUTTY, _PUTTY_END = r"PuTTY-User-Key-File-[0-9]: ", r"Private-MAC: [0-9a-f]{8,}+"
_START = r"(?<![A-Za-z0-9_-])"
_ALNUM = r"(?<![A-Za-z0-9])"
_OPENAI = _START + (
    r"sk-(?!ant-|or-|lf-)(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{16,}+|(?=[A-Za-z]{0,60}[0-9])[A-Za-z0-9]{16,}+[A-Za-z0-9_-]*+)"
)
_AWS = "AKIA ASIA ABIA ACCA"
_AWS_ID = rf"(?:{_AWS.replace(' ', '|')})[A-Z0-9]{{16}}(?![A-Za-z0-9])"
_GITLAB = "glpat- glptt- glcbt- gldt- glrt- gloas- glsoat- glimt- glft- glagent- glffct- glwt-"
_BARE_USERINFO = (
    r"""((?<![^\s"'=,;(\[])(?!(?i:mailto|acct|sips?|xmpp|im|https?|s?ftp|from|to|cc|bcc|by|user|author|e?mail|sender):)"""
    r"""[A-Za-z0-9._~%+-]{1,64}+:)([^\s/?#@:"'\x00-\x1f\ufffd]{3,512}+)@(?=[A-Za-z0-9\[])"""
)
_BASIC = re.compile(r"(?i)(?<![a-z])(basic)(\s{1,4})([A-Za-z0-9+/]{6,}+)={0,2}")
_BEARER = re.compile(r"(?i)(?<![a-z])(bearer)(\s{1,4})([A-Za-z0-9._~+/=-]{8,}+)")

PATTERNS: tuple[Pattern, ...] = (
    _key("PRIVATE_KEY", "-----BEGIN", rf"(?s){_PEM}.*?(?:{_PEM_END}|\Z)"),
    _key("PRIVATE_KEY", "PuTTY-User-Key-File-", rf"(?s){_PUTTY}.*?(?:{_PUTTY_END}|\Z)"),
    _key("PRIVATE_KEY", "AGE-SECRET-KEY-", _START + r"AGE-SECRET-KEY-1[0-9A-Z]{50,}+"),
    _key("ANTHROPIC_API_KEY", "sk-", _START + r"sk-ant-[A-Za-z0-9_-]{16,}+"),
    _key("OPENROUTER_API_KEY", "sk-", _START + r"sk-or-(?:v1-)?[0-9a-f]{32,}+"),
    _key("OPENAI_API_KEY", "sk-", _OPENAI),
    Pattern(
        "AWS_SECRET_ACCESS_KEY",
        tuple(_AWS.split()),
        re.compile(rf"{_ALNUM}({_AWS_ID})([\s,;:|\"']{{1,4}})([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])"),
        _both,
    ),
    _key("AWS_ACCESS_KEY_ID", _AWS, _ALNUM + _AWS_ID),
    _key("AWS_SESSION_TOKEN", "IQoJb3JpZ2lu FwoGZXIvYXdz", _ALNUM + r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9/+=]{80,}+"),
    _key("GOOGLE_API_KEY", "AIza", _ALNUM + r"AIza[A-Za-z0-9_-]{35}"),
    _key("GOOGLE_OAUTH", "ya29. GOCSPX-", _ALNUM + r"(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}+"),
    _key("GITHUB_TOKEN", "ghp_ gho_ ghu_ ghs_ ghr_", _START + r"gh[pousr]_[A-Za-z0-9]{36,}+"),
    _key("GITHUB_TOKEN", "github_pat_", _START + r"github_pat_[A-Za-z0-9_]{22,}+"),
    _key("GITLAB_TOKEN", _GITLAB, _START + rf"(?:{_GITLAB.replace(' ', '|')})[A-Za-z0-9_-]{{20,}}+(?:\.[A-Za-z0-9_-]++)*+"),
    _key("SLACK_TOKEN", "xox", _START + r"xox[abceoprs]-[A-Za-z0-9-]{10,}+"),
    _key("SLACK_TOKEN", "xapp-", _START + r"xapp-[0-9]-[A-Za-z0-9-]{10,}+"),
    _key("SLACK_WEBHOOK", "hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/-]{24,}+"),
    _key("DISCORD_WEBHOOK", "/api/webhooks/", r"/api/webhooks/[0-9]{16,20}+/[A-Za-z0-9_-]{50,}+"),
    _key("STRIPE_KEY", "k_live_ k_test_", _START + r"[prs]k_(?:live|test)_[A-Za-z0-9]{10,}+", 1),
    _key("STRIPE_KEY", "whsec_", _START + r"whsec_[A-Za-z0-9+/]{10,}+"),
    _key("NPM_TOKEN", "npm_", _START + r"npm_[A-Za-z0-9]{36,}+"),
    _key("PYPI_TOKEN", "pypi-AgE", _START + r"pypi-AgE[A-Za-z0-9_-]{32,}+"),
    _key("HUGGING_FACE_TOKEN", "hf_", _START + r"hf_[A-Za-z0-9]{30,}+"),
    _key("HUGGING_FACE_TOKEN", "api_org_", _START + r"api_org_[A-Za-z0-9]{30,}+"),
    _key("SENDGRID_API_KEY", "SG.", _ALNUM + r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,}+"),
    _key("TWILIO_API_KEY", "SK", _ALNUM + r"SK[0-9a-f]{32}(?![A-Za-z0-9])"),
    _key("AZURE_KEY", "+ASt", r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{6}==", 76),
    _key("AZURE_KEY", "Q~", r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~.-])", 4),
    _key("DIGITALOCEAN_TOKEN", "dop_v1_ doo_v1_ dor_v1_", _START + r"do[por]_v1_[0-9a-f]{64}"),
    _key("DOCKER_TOKEN", "dckr_pat_ dckr_oat_", _START + r"dckr_[po]at_[A-Za-z0-9_-]{24,}+"),
    _key("DATABRICKS_TOKEN", "dapi", _ALNUM + r"dapi[0-9a-f]{32}(?![A-Za-z0-9])"),
    _key("SHOPIFY_TOKEN", "shpat_ shpca_ shppa_ shpss_", _START + r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _key("TELEGRAM_BOT_TOKEN", ":AA", r"(?<=[0-9]{8}):AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    _key("MAILGUN_API_KEY", "key-", _START + r"key-[0-9a-f]{32}(?![A-Za-z0-9])"),
    _key("GRAFANA_TOKEN", "glsa_", _START + r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}"),
    _key("GRAFANA_TOKEN", "glc_", _START + r"glc_eyJ[A-Za-z0-9+/=]{30,}+"),
    _key("VAULT_TOKEN", "hvs. hvb. hvr.", _ALNUM + r"hv[sbr]\.[A-Za-z0-9_-]{24,}+"),
    _key("TERRAFORM_TOKEN", ".atlasv1.", _ALNUM + r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}+", 14),
    _key("NOTION_TOKEN", "ntn_", _START + r"ntn_[A-Za-z0-9]{40,}+"),
    _key("LINEAR_API_KEY", "lin_api_", _START + r"lin_api_[A-Za-z0-9]{32,}+"),
    _key("ATLASSIAN_TOKEN", "ATATT3", _ALNUM + r"ATATT3[A-Za-z0-9_=-]{60,}+"),
    _key("SENTRY_TOKEN", "sntrys_ sntryu_", _START + r"sntry[su]_[A-Za-z0-9+/=_-]{40,}+"),
    _key("GROQ_API_KEY", "gsk_", _START + r"gsk_[A-Za-z0-9]{40,}+"),
    _key("XAI_API_KEY", "xai-", _START + r"xai-[A-Za-z0-9]{60,}+"),
    _key("REPLICATE_TOKEN", "r8_", _START + r"r8_[A-Za-z0-9]{37,}+"),
    _key("JWT", "eyJ", r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]{3,}+\.[A-Za-z0-9_-]*+"),
    Pattern("BEARER_TOKEN", ("earer", "EARER"), _BEARER, _bearer, 1),
    Pattern("BASIC_CREDENTIAL", ("asic", "ASIC"), _BASIC, _basic, 1),
)

_USERINFO = (
    re.compile(r"(://[^\s/?#@:]{0,256}+:)([^\s/?#]{1,512})@"),
    # A token alone before the host; `git@` and other names are shorter.
    re.compile(r"(://)([^\s/?#@:]{16,512}+)@"),
    # An authority without its scheme. `mailto:` and its like have an address behind the colon.
    re.compile(_BARE_USERINFO),
)
_AUTHORITIES = Signs(r"(?:://|[A-Za-z0-9._~%+-]:)[^\s/?#]+@")
USERINFO = "URL_PASSWORD"

BY_SIGN: dict[str, tuple[Pattern, ...]] = {
    sign: tuple(each for each in PATTERNS if sign in each.signs) for pattern in PATTERNS for sign in pattern.signs
}
_SIGNS = Signs("|".join(map(re.escape, BY_SIGN)))

_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n\\"
_KEYS = tuple((re.compile(begin), re.compile(end)) for begin, end in ((_PEM, _PEM_END), (_PUTTY, _PUTTY_END)))


def open_key(text: str) -> tuple[int, re.Pattern[str]] | None:
    """Where a private key of several lines begins that has not ended in `text`, and what ends it; None where there is none."""
    found = ((_begun(text, begin, end), end) for begin, end in _KEYS)
    return min(((at, end) for at, end in found if at is not None), key=lambda pair: pair[0], default=None)


def hide_credentials(text: str, hidden: set[str]) -> str:
    """`text` with every well-known credential replaced; the kinds go into `hidden`."""
    text = _replaced(text, _places(text), hidden)
    if "-----END" in text:
        text = _replaced(text, _rests_of_keys(text), hidden)
    if "@" in text and _AUTHORITIES.within(text)(0) is not None:
        for expression in _USERINFO:
            text = _replaced(text, _authorities(expression, text), hidden)
    return text


def _places(text: str) -> Iterator[Place]:
    """Every credential that begins at its sign, each after the one before."""
    next_sign = _SIGNS.within(text)
    at = 0
    while (sign := next_sign(at)) is not None:
        start = sign.start()
        at = start + 1
        for pattern in BY_SIGN[text[start : sign.end()]]:
            match = pattern.expression.match(text, start - pattern.lead) if start >= pattern.lead else None
            made = None if match is None else pattern.hide(match)
            if match is not None and made is not None:
                at = max(at, match.end())
                yield match.start(), match.end(), made
                break


def _begun(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> int | None:
    at = 0
    while (begun := begin.search(text, at)) is not None:
        ended = end.search(text, begun.end())
        if ended is None:
            return begun.start()
        at = ended.end()
    return None


def _rests_of_keys(text: str) -> Iterator[Place]:
    """Keys whose beginning was cut off: what is left of their lines, and their end."""
    done = 0
    for end in _KEY_END.finditer(text):
        before = text[done : end.start()]
        done = end.end()
        yield end.start() - len(before) + len(before.rstrip(_KEY_LETTERS)), done, (marker("PRIVATE_KEY"), "PRIVATE_KEY")


def _authorities(expression: re.Pattern[str], text: str) -> Iterator[Place]:
    for match in expression.finditer(text):
        made = _userinfo(match)
        if made is not None:
            yield match.start(), match.end(), made


def _replaced(text: str, places: Iterable[Place], hidden: set[str]) -> str:
    done = 0
    parts: list[str] = []
    for start, end, (replacement, *kinds) in places:
        if start >= done:
            parts += [text[done:start], replacement]
            hidden.update(kinds)
            done = end
    return text if not parts else "".join([*parts, text[done:]])
