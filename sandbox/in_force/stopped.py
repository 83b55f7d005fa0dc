"""What was stopped, as this process knows it: whether the calls of a session may run at all.

Decides nothing else; `sandbox.changes.applying` reads the store's word for it at every change. Rule: where nothing is stopped, a
call pays one look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.admission.denied import STOPPED
from sandbox.errors import Code, NotAdmitted
from sandbox.state import EVERYTHING, Stop


@dataclass(slots=True)
class Stops:
    """The stops that hold, by their scope."""

    held: Mapping[str, Stop] = field(default_factory=dict)

    def hold(self, stops: Iterable[Stop]) -> None:
        """These hold from now on, and no others."""
        self.held = {stop.scope: stop for stop in stops}

    def of(self, session: str | None) -> Stop | None:
        """The stop that keeps a session's calls from running; None where none does."""
        if not self.held:
            return None
        return self.held.get(EVERYTHING) or (None if session is None else self.held.get(session))

    def refuse(self, session: str | None) -> None:
        """Raise NotAdmitted where a session's calls are stopped."""
        if (stop := self.of(session)) is not None:
            raise NotAdmitted(said_of(stop), help="`sandbox resume` lets calls run again", code=Code.STOPPED, rules=STOPPED)


def said_of(stop: Stop) -> str:
    """A stop in a sentence, for who is refused by it."""
    what = "every call is stopped" if stop.scope == EVERYTHING else "the calls of this session are stopped"
    return f"{what} (by {stop.who}{f': {stop.why}' if stop.why else ''})"
