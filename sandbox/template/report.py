"""What compiling a document found: problems that refuse it, warnings, and for each line what enforces it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.errors import Problem
from sandbox.policy.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a policy in words, where it comes from, and what enforces it here."""

    origin: str
    line: str
    enforced_by: str


@dataclass(slots=True)
class Report:
    """Collects while a document is compiled, so that all its problems come at once."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, origin: str, path: str, refusal: Refusal, *, once: bool = False) -> None:
        """Add a problem at the line `origin`; each once, and where it is the same for every line, at the first alone."""
        problem = Problem(origin, path, refusal.message, refusal.help)
        said = {one.message for one in self.problems} if once else ()
        if problem not in self.problems and refusal.message not in said:
            self.problems.append(problem)

    def warn(self, origin: str, message: str) -> None:
        """Add a warning at the line `origin`; each once."""
        text = f"{origin}: {message}"
        if text not in self.warnings:
            self.warnings.append(text)
