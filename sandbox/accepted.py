"""The document that an operator accepted for a component: read from a file, a name, or a value, and kept as its text.

Decides where a document comes from and what it is called in messages. Whether it is well formed is `sandbox.policy`.

Rules: a file is called by its last name alone, since its lines are shown to clients and its folder is nobody's business; a
document that nobody accepted grants nothing.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox.policy.file import read_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import policy_text
from sandbox.state.rows import StoredComponent
from sandbox.template.cache import DocumentCache

NOTHING = 'version: "2.0"\n'
"""The text of the document that grants nothing."""

Given = Path | str | PolicyDocument
"""A file, the name of a policy that ships with the host, or a document made in Python."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document, the text it was read from, the name its lines go by, and the file it lies in (empty where in none)."""

    document: PolicyDocument
    text: str
    file: str
    path: str = ""


class Documents:
    """Reads documents; what was read before is not parsed again."""

    def __init__(self) -> None:
        self.cache = DocumentCache(time.perf_counter)

    def read(self, given: Given) -> Accepted:
        """Read a document; raises PolicyError with every problem."""
        if isinstance(given, PolicyDocument):
            text = json.dumps(given.model_dump(mode="json", exclude_none=True), indent=2) + "\n"
            return self.of_text(text, "policy")
        if isinstance(given, str):
            return self.of_text(policy_text(given).decode(), given)
        return self.of_text(read_policy_file(given).decode("utf-8", "surrogateescape"), given.name, str(given.absolute()))

    def stored(self, component: StoredComponent) -> Accepted:
        """The document that the store remembers."""
        return self.of_text(component.policy_text, Path(component.policy_file).name or "policy", component.policy_file)

    def nothing(self) -> Accepted:
        """What holds where nobody accepted anything."""
        return self.of_text(NOTHING, "deny-all")

    def of_text(self, text: str, file: str, path: str = "") -> Accepted:
        """A document from its text; raises PolicyError with every problem."""
        return Accepted(self.cache.load(text, file=file), text, file, path)
