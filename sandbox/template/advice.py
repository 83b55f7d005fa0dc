"""A question to a template, its answer, and the smallest change that would turn a no into a yes.

Pure. The answer is `explain`'s, from the same indexes that the gates ask; the change is `smallest`'s, as a line of a document and
as a command. Where a deny decided, no line helps: it has to be taken out, and where a ceiling decided, whoever wrote that has to
widen it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from sandbox.errors import Code, SandboxError
from sandbox.policy.fields import TCP
from sandbox.policy.grants import SIZES, GrantKind
from sandbox.policy.models import ResourceLimits
from sandbox.policy.refusal import one_of, quoted
from sandbox.template.explain import Explanation, explain_environment, explain_file, explain_url
from sandbox.template.limits import FIELDS, show_limit
from sandbox.template.smallest import grant_for
from sandbox.template.template import Access, WasiTemplate

Kind = Literal["storage", "network", "environment", "resource"]


@dataclass(frozen=True, slots=True)
class Question:
    """May it: `target` is a real host path, a URL, a variable or a limit; `value` is how much of it, None asks how much it is."""

    kind: Kind
    target: str
    access: Access = Access.NONE
    method: str = "GET"
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What would allow it: the section and the entry of a document, the command for a component, or why nothing would."""

    say: str
    entry: Mapping[str, Any] | None = None
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The advice as a JSON object."""
        entry = None if self.entry is None else dict(self.entry)
        return {"say": self.say, "entry": entry, "command": self.command}


@dataclass(frozen=True, slots=True)
class Explained:
    """A question, the answer, and what would turn a no into a yes."""

    question: Question
    said: Explanation
    advice: Advice | None

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        asked = {"kind": self.question.kind, "target": self.question.target}
        advice = None if self.advice is None else self.advice.to_json()
        answer = {"allowed": self.said.allowed, "asked": self.said.asked}
        return {**asked, **answer, "origin": self.said.origin, "line": self.said.line, "advice": advice}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was answered no, as a denial of it."""

    code: Code
    target: dict[str, Any]
    private: dict[str, Any] = field(default_factory=dict)
    origin: str | None = None


def answer(template: WasiTemplate, question: Question) -> Explanation:
    """What the template says; raises SandboxError for a limit that there is not."""
    if question.kind == "storage":
        return explain_file(template, question.target, question.access)
    if question.kind == "network":
        return explain_url(template, question.target, question.method)
    if question.kind == "environment":
        return explain_environment(template, question.target)
    return _explain_limit(template, question)


def explained(template: WasiTemplate, questions: tuple[Question, ...], *, component: str | None = None) -> tuple[Explained, ...]:
    """The answers of one template."""
    found = ((question, answer(template, question)) for question in questions)
    return tuple(Explained(one, said, advise(template, one, said, component=component)) for one, said in found)


def under_ceiling(without: WasiTemplate, each: Explained) -> Explained:
    """The answer, where a template `without` the ceiling would say yes: then it is the ceiling that says no."""
    if each.said.allowed or each.said.asked or not answer(without, each.question).allowed:
        return each
    said = replace(each.said, line=f"{each.said.line}; the policy allows it, the ceiling does not")
    return replace(each, said=said, advice=Advice("whoever runs this host would have to widen the ceiling"))


def advise(template: WasiTemplate, question: Question, said: Explanation, *, component: str | None = None) -> Advice | None:
    """How to permit what the template denies, None where it does not; the command is for `component`, where there is one."""
    if said.allowed:
        return None
    if said.origin is not None and question.kind != "resource" and not said.asked:
        return taking_out(said.origin)
    smallest = grant_for(_denied(template, question), template)
    if smallest is None:
        return Advice("no policy can allow it")
    if said.asked:
        command = None if component is None else grant_command(component, smallest.kind, smallest.entry)
        return Advice("a person is asked when it is used; a grant is the answer before the question", command=command)
    entry = smallest.entry if question.value is None else {question.target: _as_written(question.value)}
    where = "permissions.resources.limits" if smallest.kind == "resource" else f"permissions.{smallest.kind}.allow"
    command = None if component is None else grant_command(component, smallest.kind, entry)
    return Advice(f"write below `{where}`: `{spelled(smallest.kind, entry)}`", entry, command)


def taking_out(origin: str) -> Advice:
    """What to do about a deny: nothing that is added helps."""
    if origin.startswith("grant "):
        grant = origin.removeprefix("grant ")
        say = f"the deny that was granted as `{grant}` decides, and no allow beats it: it must be revoked"
        return Advice(say, command=f"sandbox permission revoke {shlex.quote(grant)}")
    return Advice(f"the deny at {origin} decides, and no allow and no grant beats it: it must be taken out")


def spelled(kind: GrantKind, entry: Mapping[str, Any]) -> str:
    """An entry as one line of a document."""
    fields = ", ".join(f"{key}: {_flow(value)}" for key, value in entry.items())
    return fields if kind == "resource" else f"- {{{fields}}}"


def grant_command(component: str, kind: GrantKind, entry: Mapping[str, Any]) -> str:
    """The command that gives a component this entry."""
    words = ["sandbox", "permission", "grant", component, kind, *_words(kind, entry)]
    return " ".join(shlex.quote(str(word)) for word in words)


def _words(kind: GrantKind, entry: Mapping[str, Any]) -> Iterable[object]:
    if kind == "storage":
        yield entry["uri"]
        yield from ("--access", ",".join(entry["access"]))
        yield from ("--mount", entry["mount"]) if "mount" in entry else ()
        for size in SIZES:
            yield from (f"--{size.replace('_', '-')}", entry[size]) if size in entry else ()
    elif kind == "network":
        yield from (entry["host"],) if "host" in entry else ("--cidr", entry["cidr"])
        for field_ in ("ports", "protocols", "methods", "paths"):
            for value in entry.get(field_, ()):
                yield from (f"--{field_[:-1]}", value)
    elif kind == "environment":
        yield entry["key"]
    else:
        yield from (f"{name}={value}" for name, value in entry.items())


def _flow(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(item) for item in value)}]"
    # JSON's quotes are YAML's: whatever is no plain word is quoted.
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)


def _denied(template: WasiTemplate, question: Question) -> _Asked:
    if question.kind == "storage":
        missing = _missing(template, question)
        private = {"host_path": question.target, "access": list(missing.words)}
        return _Asked(Code.FILESYSTEM_ACCESS_DENIED, {"path": question.target}, private)
    if question.kind == "network":
        return _Asked(Code.NETWORK_ACCESS_DENIED, _request(question))
    if question.kind == "environment":
        return _Asked(Code.ENVIRONMENT_ACCESS_DENIED, {"variable": question.target})
    return _Asked(Code.RESOURCE_LIMIT_EXCEEDED, {"resource": question.target})


def _missing(template: WasiTemplate, question: Question) -> Access:
    """What of the access that is asked for the template does not give."""
    bits = (Access.READ, Access.WRITE, Access.CREATE, Access.DELETE)
    refused = (bit for bit in bits if question.access & bit and not explain_file(template, question.target, bit).allowed)
    found = Access.NONE
    for bit in refused:
        found |= bit
    return found


def _request(question: Question) -> dict[str, Any]:
    try:
        parts = urlsplit(question.target)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return {}
    asked = {"scheme": parts.scheme, "host": parts.hostname, "port": port}
    return asked if parts.scheme == TCP else {**asked, "method": question.method, "path": parts.path or "/"}


def _explain_limit(template: WasiTemplate, question: Question) -> Explanation:
    field_ = FIELDS.get(question.target)
    if field_ is None:
        message = f"{quoted(question.target)} is no limit"
        raise SandboxError(message, help=one_of(question.target, FIELDS), code=Code.INVALID_ARGUMENTS)
    value, origin = getattr(template.limits, field_), template.limits.origin(field_)
    shown = "no limit" if value is None else show_limit(question.target, value)
    if question.value is None:
        return Explanation(True, origin, f"{question.target}: {shown}, by {origin}")
    wanted = wanted_limit(question.target, question.value)
    allowed = value is None or wanted <= value
    said = "allowed" if allowed else "denied"
    return Explanation(allowed, origin, f"{question.target} {question.value}: {said}, it is {shown} by {origin}")


def wanted_limit(name: str, written: str) -> int:
    """How much of a limit a text says, as a number; raises SandboxError."""
    try:
        return ResourceLimits.model_validate({name: _as_written(written)}).written[name]
    except ValueError:
        raise SandboxError(
            f"{quoted(written)} is no value of {quoted(name)}",
            help="write it as a policy does: `64Mi`, `2s`, `4`",
            code=Code.INVALID_ARGUMENTS,
        ) from None


def _as_written(value: str) -> int | str:
    return int(value) if value.isdecimal() else value
