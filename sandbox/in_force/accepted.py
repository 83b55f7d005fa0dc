"""The document that an operator accepted for a component: read from a file, a name, or a value, and kept as its text.

Decides where a document comes from and what it is called in messages, and which one holds where nobody accepted any: the
configuration's default for the component's name, else none. Whether it is well formed is `sandbox.policy`.

Rules: a file is called by its last name alone, since its lines are shown to clients and its folder is nobody's business; a
document that nobody accepted grants nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from sandbox.errors import SandboxError, told_one_by_one
from sandbox.policy.file import read_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.policy.named import policy_text
from sandbox.state.rows import StoredComponent
from sandbox.template.cache import DocumentCache

NOTHING = 'version: "2.0"\n'
"""The text of the document that grants nothing."""

LOCAL, DEFAULTS, NOBODY = "local", "defaults", ""
"""Who accepted a document: a person here, the configuration for all components of a kind, nobody."""

_WAIVED = "# waived by who accepted this: "
"""The last line of a stored text whose document was accepted with waivers; only what is stored is looked at for it."""


@dataclass(frozen=True, slots=True)
class Waiving:
    """A file or a named policy, and the fields of it that WASI cannot have and that are accepted as a no-op."""

    policy: Path | str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a document, and the name that its lines go by."""

    text: str
    file: str


Given = Path | str | Waiving | Written | PolicyDocument
"""A file, the name of a policy that ships with the host, either with waivers, a text, or a document made in Python."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A document, the text it was read from, the name its lines go by, the file it lies in (empty where in none), and by whom.

    `problems` say why the text is no document that can hold: then nothing is granted, by nobody's grant either.
    """

    document: PolicyDocument
    text: str
    file: str
    path: str = ""
    by: str = LOCAL
    problems: tuple[str, ...] = ()


class Documents:
    """Reads documents; what was read before is not parsed again. `defaults` maps patterns of names to what holds for them."""

    def __init__(self, defaults: Mapping[str, Path | str] | None = None) -> None:
        self.cache = DocumentCache(time.perf_counter)
        self._defaults = dict(defaults or {})

    def read(self, given: Given) -> Accepted:
        """Read a document; raises PolicyError with every problem."""
        if isinstance(given, PolicyDocument):
            text = json.dumps(given.model_dump(mode="json", exclude_none=True), indent=2) + "\n"
            return self.of_text(text, "policy")
        if isinstance(given, Waiving):
            return self._waiving(given)
        if isinstance(given, Written):
            return self.of_text(given.text, given.file)
        if isinstance(given, str):
            return self.of_text(policy_text(given).decode(), given)
        return self.of_text(read_policy_file(given).decode("utf-8", "surrogateescape"), given.name, str(given.absolute()))

    def stored(self, component: StoredComponent) -> Accepted:
        """The document that the store remembers, or what holds where it remembers that nobody accepted one."""
        if component.accepted_by == NOBODY:
            return self.unaccepted(component.name)
        file = component.policy_file
        kept = self.kept(component.policy_text, Path(file).name or "policy", file)
        return replace(kept, by=component.accepted_by)

    def unaccepted(self, name: str) -> Accepted:
        """What holds for a component for which nobody accepted anything: the first default for its name, else nothing."""
        given = next((policy for pattern, policy in self._defaults.items() if fnmatchcase(name, pattern)), None)
        return self.nothing() if given is None else replace(self.read(given), by=DEFAULTS)

    def nothing(self) -> Accepted:
        """The document that grants nothing, accepted by nobody."""
        return replace(self.of_text(NOTHING, "deny-all"), by=NOBODY)

    def faulty(self, error: SandboxError, text: str = "", path: str = "", by: str = NOBODY) -> Accepted:
        """What stands for a document that cannot be read: nothing, and why."""
        nothing = self.nothing()
        return replace(nothing, text=text, file=Path(path).name, path=path, by=by, problems=told_one_by_one(error))

    def of_text(self, text: str, file: str, path: str = "", waive: tuple[str, ...] = ()) -> Accepted:
        """A document from its text; raises PolicyError with every problem."""
        return Accepted(self.cache.load(text, file=file, waive=waive), text, file, path)

    def _waiving(self, given: Waiving) -> Accepted:
        """The document with its waivers, which are kept in its text as a comment behind it: no line of it moves."""
        if isinstance(given.policy, str):
            text, file, path = policy_text(given.policy).decode(), given.policy, ""
        else:
            text = read_policy_file(given.policy).decode("utf-8", "surrogateescape")
            file, path = given.policy.name, str(given.policy.absolute())
        accepted = self.of_text(text, file, path, given.fields)
        if not accepted.document.waivers:
            return accepted
        return replace(accepted, text=f"{text.rstrip()}\n{_WAIVED}{' '.join(given.fields)}\n")

    def kept(self, text: str, file: str, path: str) -> Accepted:
        """A document from a text that was accepted here, with the waivers that were accepted with it."""
        last = text.rstrip("\n").rpartition("\n")[2]
        waive = tuple(last.removeprefix(_WAIVED).split()) if last.startswith(_WAIVED) else ()
        return self.of_text(text, file, path, waive)
