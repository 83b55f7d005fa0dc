"""What a component may keep between its calls: `state.keyvalue` of a document, inside every ceiling.

Pure. Absence is deny: without the line there is no store, and a ceiling that has none gives none.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.policy.models import State
from sandbox.policy.refusal import Refusal
from sandbox.policy.units import show_size
from sandbox.template.report import Report
from sandbox.template.template import KeyValueRule


def compile_keyvalue(document: State, ceilings: Iterable[State], report: Report) -> KeyValueRule | None:
    """The store of one component, None where it has none; what is wrong goes into `report`."""
    asked = document.keyvalue
    if asked is None:
        return None
    path = "permissions.state.keyvalue"
    for most in (ceiling.keyvalue for ceiling in ceilings):
        if most is None:
            report.refuse(asked.origin, path, Refusal("`keyvalue` is outside the ceiling, which has none", "take it out"))
        elif asked.max_bytes > most.max_bytes:
            limit = show_size(most.max_bytes)
            said = f"`{asked.max_size}` is above the ceiling's `{limit}`"
            report.refuse(asked.origin, f"{path}.max_size", Refusal(said, f"write `max_size: {limit}` or less"))
    return KeyValueRule(asked.max_bytes, asked.origin)


def kept_less(old: KeyValueRule | None, new: KeyValueRule | None) -> bool:
    """Whether the new rule lets less be kept than the old one did."""
    return old is not None and (new is None or new.max_bytes < old.max_bytes)
