"""The subject that a verified token stands for.

Pure. Decides which claims become the name, the roles, the scopes and the tenant, as the operator named them. Leaves what they
permit to the admission document.

Rules: a claim of another shape than is meant refuses the token, rather than being left out: a role that is not seen may be one
that a rule denies. A scope with `*`, which is a pattern here and a word to its issuer, refuses the token, too. A name of a claim
is taken whole first, then by its dots into objects (`realm_access.roles`). The subject's name begins with the issuer's prefix, so
no two issuers and no static token share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.admission.request import canonical_json
from sandbox.admission.subject import Subject
from sandbox.changes.roles import MAX_SUBJECT
from sandbox.config.oauth import OAuthSection

MOST_WORDS = 256
MOST_CHARACTERS = 256
MOST_KEPT_BYTES = 4096
_SCOPE_CLAIMS = ("scope", "scp")
_MISSING = object()


class ClaimsError(Exception):
    """A claim that is not there or not what it should be; the text names it, and nothing of what it holds."""


def subject_from(claims: Mapping[str, Any], section: OAuthSection) -> Subject:
    """Whom the claims of a verified token name. Raises ClaimsError."""
    names = section.claims
    return Subject(
        section.prefix + _name(claims, names.subject, MAX_SUBJECT - len(section.prefix)),
        roles=_words(claims, names.roles, split=False),
        tenant=None if names.tenant is None else _name(claims, names.tenant, MOST_CHARACTERS),
        scopes=_scopes(claims, names.scopes),
        claims=_kept(claims, names.kept or {}),
    )


def _found(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:
        return claims[name]
    value: Any = claims
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return _MISSING
        value = value[step]
    return value


def _name(claims: Mapping[str, Any], name: str, most: int) -> str:
    value = _found(claims, name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable() or value != value.strip():
        raise ClaimsError(name)
    return value


def _scopes(claims: Mapping[str, Any], name: str | None) -> tuple[str, ...]:
    there = [each for each in _SCOPE_CLAIMS if each in claims] if name is None else [name]
    scopes = _words(claims, there[0], split=True) if there else ()
    if any("*" in scope for scope in scopes):
        raise ClaimsError(there[0])
    return scopes


def _words(claims: Mapping[str, Any], name: str, *, split: bool) -> tuple[str, ...]:
    """A list of words, as a list or, with `split`, as one text with spaces between them (RFC 8693, 4.2)."""
    value = _found(claims, name)
    if value is _MISSING:
        return ()
    if isinstance(value, str):
        value = value.split() if split else [value]
    if not isinstance(value, list) or len(value) > MOST_WORDS:
        raise ClaimsError(name)
    if not all(isinstance(word, str) and 0 < len(word) <= MOST_CHARACTERS and word.isprintable() for word in value):
        raise ClaimsError(name)
    return tuple(dict.fromkeys(value))


def _kept(claims: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    kept = {word: value for word, name in names.items() if (value := _found(claims, name)) is not _MISSING}
    try:
        size = len(canonical_json(kept))
    except ValueError:
        size = MOST_KEPT_BYTES + 1
    if size > MOST_KEPT_BYTES:
        raise ClaimsError("kept")
    return kept
