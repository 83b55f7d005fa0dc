"""The section of content: what must not stand in arguments or in results.

Every text is looked at, the names of fields too, and the texts and numbers of a list once more as one line: `["rm", "-rf", "/"]`
is a command; a list of numbers only as one line. What is nested too deep, comes in too many pieces or is no JSON is not looked
through, and does not pass. In a result `redact` works on a copy; `block` and `require_approval` keep it back whole.

Rule: linear in the text. What a set is looked for by is `sandbox.admission.document.sets`; what a credential looks like,
`sandbox.redaction`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from sandbox.admission.conditions.facts import Facts
from sandbox.admission.conditions.patterns import any_of, encoded, expression
from sandbox.admission.decision import Ruling
from sandbox.admission.document.models import AdmissionDocument, ContentRule
from sandbox.admission.document.sets import SECRETS, SETS, Sign
from sandbox.admission.sections.vote import Vote, strictest
from sandbox.admission.words import Treatment, Where
from sandbox.redaction.patterns import marker
from sandbox.redaction.redact import Redactor

MAX_DEPTH = 64
MAX_TEXTS = 100_000
"""Texts of one value: each costs a search."""
_EFFECTS = {Treatment.BLOCK: Ruling.DENY, Treatment.REQUIRE_APPROVAL: Ruling.REQUIRE_APPROVAL}
_ORDER = tuple(Treatment)

Rewrite = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Hit:
    """A line of the document that found something: what, and how sure all of it is together, from 0 to 1."""

    line: ContentRule
    finds: tuple[str, ...]
    score: float

    def __str__(self) -> str:
        finds = ", ".join(self.finds)
        return finds if self.line.use is None else f"{finds} (`{self.line.use}`)"


@dataclass(frozen=True, slots=True)
class Inspected:
    """A result that was looked through: what is left of it, what is done about it, and what was found.

    `value` is the copy without what is redacted; where `effect` is not allow, nothing of it may be shown.
    """

    value: Any
    effect: Ruling
    hits: tuple[Hit, ...]

    @property
    def reason(self) -> str:
        """What decided, in one line."""
        deciding = [hit for hit in self.hits if _EFFECTS.get(hit.line.action) is self.effect]
        return "; ".join(str(hit) for hit in deciding or self.hits)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found and let pass."""
        return tuple(f"the result may hold {hit}" for hit in self.hits if hit.line.action is Treatment.WARN)


class Content:
    """The lines of a document about content. `redactor` knows the credentials, of this host's own secrets too."""

    name = "content"

    def __init__(self, document: AdmissionDocument, redactor: Redactor | None = None) -> None:
        self._redactor = redactor or Redactor()
        self._lines = {where: tuple(line for line in document.content if where in line.where) for where in Where}
        self._suspect = {
            where: any_of(sign.expression for line in lines for sign in signs_of(line)) for where, lines in self._lines.items()
        }
        self.configured = bool(self._lines[Where.ARGUMENTS])
        self.inspects = bool(self._lines[Where.RESULT])

    def vote(self, facts: Facts) -> Vote | None:
        """Deny, ask for an approval or warn for what the arguments hold; abstain where there is nothing."""
        if facts.request.left_out:
            told = f"`{'`, `'.join(facts.request.left_out)}` cannot be looked through: no value of JSON's"
            return Vote(self.name, Ruling.DENY, (self.name,), told)
        hits = self._hits(Where.ARGUMENTS, facts.request.arguments)
        if not hits:
            return None
        warnings = tuple(f"the arguments hold {hit}" for hit in hits if hit.line.action is Treatment.WARN)
        serious = [hit for hit in hits if hit.line.action in _EFFECTS]
        if not serious:
            return Vote(self.name, Ruling.ALLOW, (), "", warnings=warnings)
        effect = strictest(_EFFECTS[hit.line.action] for hit in serious)
        deciding = [hit for hit in serious if _EFFECTS[hit.line.action] is effect]
        told = f"the arguments hold {'; '.join(map(str, deciding))}"
        return Vote(self.name, effect, tuple(dict.fromkeys(hit.line.name for hit in deciding)), told, warnings=warnings)

    def inspect(self, value: Any, redactor: Redactor | None = None) -> Inspected:
        """Look through a result, a JSON value; what is redacted stands in a copy."""
        hits = self._hits(Where.RESULT, value, redactor)
        effect = strictest([Ruling.ALLOW, *(_EFFECTS.get(hit.line.action, Ruling.ALLOW) for hit in hits)])
        if effect is Ruling.ALLOW:
            for hit in hits:
                if hit.line.action is Treatment.REDACT:
                    value = self._without(hit.line, value, redactor or self._redactor)
        return Inspected(value, effect, hits)

    def _hits(self, where: Where, value: Any, redactor: Redactor | None = None) -> tuple[Hit, ...]:
        if not self._lines[where]:
            return ()
        suspect = self._suspect[where]
        texts = [text for text in map(encoded, _counted(texts_of(value))) if suspect(text)]
        found = []
        for line in self._lines[where]:
            if line.use == SECRETS:
                hidden = (redactor or self._redactor).redact(value).hidden
                signs = [Sign("", kind.lower().replace("_", " ")) for kind in hidden]
            else:
                signs = [sign for sign in signs_of(line) if any(map(expression(sign.expression).search, texts))]
            if signs:
                score = round(1 - prod(1 - sign.weight for sign in signs), 3)
                found.append(Hit(line, tuple(dict.fromkeys(sign.finds for sign in signs)), score))
        return tuple(found)

    def _without(self, line: ContentRule, value: Any, redactor: Redactor) -> Any:
        if line.use == SECRETS:
            return redactor.redact(value).value
        signs = [(expression(sign.expression), marker(sign.finds)) for sign in signs_of(line)]
        suspect = any_of(sign.expression for sign in signs_of(line))
        return _rewritten(value, lambda text: _hidden(text, signs) if suspect(encoded(text)) else text)


def signs_of(line: ContentRule) -> tuple[Sign, ...]:
    """What a line is looked for by."""
    if line.pattern is None:
        return SETS[line.use or ""]
    return (Sign(line.pattern, line.reason or line.pattern),)


def texts_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text of a JSON value, the names of fields included, and the texts and numbers of each list as one line."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int | float):
        yield str(value)
    elif depth >= MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts_of(item, depth + 1)
    elif isinstance(value, Iterable):
        items = list(value)
        numbers = all(isinstance(item, int | float) for item in items)
        if numbers or sum(map(_is_scalar, items)) > 1:
            yield _line_of(items)
        for item in () if numbers else items:
            yield from texts_of(item, depth + 1)


def _is_scalar(item: Any) -> bool:
    return isinstance(item, str | int | float)


def _line_of(items: list[Any]) -> str:
    """The texts and numbers of a list, whatever else it holds, as one line."""
    return " ".join(str(item) for item in items if _is_scalar(item))


def _counted(texts: Iterator[str]) -> Iterator[str]:
    for count, text in enumerate(texts):
        if count >= MAX_TEXTS:
            raise ValueError(f"more than {MAX_TEXTS} texts")
        yield text


def _hidden(text: str, signs: list[tuple[Any, str]]) -> str:
    text = text.encode("utf-8", "replace").decode()
    for sign, mark in signs:
        if sign.search(text):
            text = sign.sub(lambda _match, mark=mark: mark, text)
    return text


def _rewritten(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, Mapping):
        return {rewrite(str(key)): _rewritten(item, rewrite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_rewritten(item, rewrite) for item in value]
        line = _line_of(items)
        # What stands in several items together cannot be taken out of one.
        return items if (whole := rewrite(line)) == line else [whole, *(item for item in items if not _is_scalar(item))]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = rewrite(str(value))
        return value if text == str(value) else text
    return value
