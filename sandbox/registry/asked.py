"""What the policy that a component asks for would give here: line by line, against the ceiling.

Decides nothing: a person does, by what this shows. The text is read as any policy is, and compiled twice, as if there were no
ceiling and under it; what both say is within the ceiling, what the second does not say is above it.

Rules: nothing is made on the disk for a component that nobody has accepted; what is wrong with a request is told, never raised.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sandbox.errors import PolicyError
from sandbox.in_force.accepted import Accepted, Documents
from sandbox.in_force.effective import Around
from sandbox.policy.models import PolicyDocument
from sandbox.registry.sources import AskedText
from sandbox.template.compile import CompiledPolicy, Note, compile_template
from sandbox.template.template import WasiTemplate
from sandbox.wit.types import Digest

Standing = Literal["within", "narrowed", "above", "refused"]


@dataclass(frozen=True, slots=True)
class AskedLine:
    """One line of a request: where it stands, what it says, and what of it the ceiling `gives`, or why it gives nothing."""

    origin: str
    line: str
    standing: Standing
    gives: str = ""

    def to_json(self) -> dict[str, str]:
        """The line as a JSON object."""
        return {"origin": self.origin, "line": self.line, "ceiling": self.standing, "gives": self.gives}


@dataclass(frozen=True, slots=True)
class Asked:
    """The policy that a component asks for: its text and lines; `problems` say why it cannot be accepted as it is.

    `template` is what accepting it would give; None where it cannot be accepted.
    """

    file: str
    path: str
    text: str = field(repr=False)
    lines: tuple[AskedLine, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    template: WasiTemplate | None = field(default=None, repr=False)
    ceiling: bool = False
    """Whether there is a ceiling that it was held against."""

    @property
    def acceptable(self) -> bool:
        """Whether it may be accepted as it is."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object."""
        return {
            "file": self.path or self.file,
            "text": self.text,
            "lines": [line.to_json() for line in self.lines],
            "problems": list(self.problems),
            "warnings": list(self.warnings),
        }


def accepted_text(asked: AskedText, documents: Documents) -> Accepted:
    """The document that accepting the request makes; raises PolicyError with every problem."""
    if asked.unreadable:
        # Read again: the error of the file is the answer.
        return documents.read(Path(asked.path))
    return documents.of_text(asked.text, asked.file, asked.path)


def judge(asked: AskedText, documents: Documents, around: Around, name: str, digest: Digest) -> Asked:
    """What the request of the component `digest`, under `name`, would give here."""
    return replace(_judged(asked, documents, around, name, digest), ceiling=around.ceiling is not None)


def _judged(asked: AskedText, documents: Documents, around: Around, name: str, digest: Digest) -> Asked:
    if asked.unreadable:
        return Asked(asked.file, asked.path, asked.text, problems=tuple(asked.unreadable.splitlines()))
    try:
        document = accepted_text(asked, documents).document
        wanted = _compiled(document, around, asked, name, digest, None)
    except PolicyError as error:
        return Asked(asked.file, asked.path, asked.text, problems=_told(error))
    try:
        given = _compiled(document, around, asked, name, digest, around.ceiling)
    except PolicyError as error:
        lines = _beside_refused(document, wanted, error, around, asked, name, digest)
        return Asked(asked.file, asked.path, asked.text, lines, _told(error), wanted.warnings)
    return Asked(asked.file, asked.path, asked.text, _lines(wanted, given, {}), (), given.warnings, given.template)


def _compiled(
    document: PolicyDocument, around: Around, asked: AskedText, name: str, digest: Digest, ceiling: PolicyDocument | None
) -> CompiledPolicy:
    # Not `effective`: that makes the component's data folder, and nobody has accepted it yet.
    return compile_template(document, digest=digest, name=name, ceiling=ceiling, **around.place(name, asked.path))


def _beside_refused(
    document: PolicyDocument,
    wanted: CompiledPolicy,
    error: PolicyError,
    around: Around,
    asked: AskedText,
    name: str,
    digest: Digest,
) -> tuple[AskedLine, ...]:
    """The lines that were refused, and what there would be of the others without them."""
    reasons = {problem.where: problem.message for problem in error.problems}
    try:
        rest = _compiled(_without(document, reasons), around, asked, name, digest, around.ceiling)
    except PolicyError:
        return tuple(
            AskedLine(
                note.origin, note.line, "refused", reasons.get(note.origin, "it cannot be judged beside a line that is refused")
            )
            for note in _written(wanted)
        )
    return _lines(wanted, rest, reasons)


def _lines(wanted: CompiledPolicy, given: CompiledPolicy, reasons: Mapping[str, str]) -> tuple[AskedLine, ...]:
    """A line that is there word for word is within; else what there is of its place, after it was narrowed."""
    held = {(note.origin, note.line) for note in given.notes}
    made: list[AskedLine] = []
    for note in _written(wanted):
        narrowed = "; ".join(one.line for one in given.notes if one.origin == note.origin)
        if note.origin in reasons:
            made.append(AskedLine(note.origin, note.line, "refused", reasons[note.origin]))
        elif (note.origin, note.line) in held:
            made.append(AskedLine(note.origin, note.line, "within", note.line))
        elif narrowed:
            made.append(AskedLine(note.origin, note.line, "narrowed", narrowed))
        else:
            made.append(AskedLine(note.origin, note.line, "above", "nothing of it is within the ceiling"))
    return tuple(made)


def _without(document: PolicyDocument, lines: Container[str]) -> PolicyDocument:
    """The document without the entries and limits of these lines, so that the others can be judged."""
    parts = document.permissions
    kept = {
        (section, effect): tuple(entry for entry in entries if entry.origin not in lines)
        for section, effect, entries in document.sections()
    }
    limits = parts.resources.limits
    gone = dict.fromkeys(name for name in limits.written if limits.origin(name) in lines)
    changed: dict[str, Any] = {
        section: getattr(parts, section).model_copy(update={effect: kept[section, effect] for effect in ("allow", "deny")})
        for section in ("storage", "network", "environment")
    }
    changed["resources"] = parts.resources.model_copy(update={"limits": limits.model_copy(update=gone)})
    return document.model_copy(update={"permissions": parts.model_copy(update=changed)})


def _written(compiled: CompiledPolicy) -> list[Note]:
    """The notes of what somebody wrote: a limit that nobody wrote asks for nothing."""
    return [note for note in compiled.notes if note.origin != "default"]


def _told(error: PolicyError) -> tuple[str, ...]:
    return tuple(str(problem) for problem in error.problems)
