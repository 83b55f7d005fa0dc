"""The part of `Sandbox` that says how it does: its figures, and whether calls can be made now.

Decides what keeps a host from making calls at all. How figures are spelled is the edge's business.
"""

from __future__ import annotations

from sandbox.audit import AuditLog
from sandbox.changes.answering import Answering
from sandbox.changes.applying import Changes
from sandbox.changes.budgeting import Budgeting
from sandbox.components import Components
from sandbox.dispatch import Dispatch
from sandbox.errors import HostUnavailable
from sandbox.figures import BudgetFigure, Figures
from sandbox.host.host import Host
from sandbox.in_force.accepted import Documents
from sandbox.state import EVERYTHING, Store
from sandbox.telemetry.durations import Durations
from sandbox.tracing import Tracing

MAX_BUDGETS = 256
"""Budgets whose standing is told; those of single runs are not, which anybody may begin."""


class Watching(Answering, Budgeting):
    """What `Sandbox` offers to whoever watches it."""

    _host: Host | None
    _components: Components
    _documents: Documents
    _changes: Changes
    _store: Store
    _log: AuditLog
    _dispatch: Dispatch
    _tracing: Tracing | None

    def _require_open(self) -> None:
        raise NotImplementedError

    def metrics(self) -> dict[str, int]:
        """The host's counters; empty before the first load."""
        return {} if self._host is None else self._host.metrics()

    def figures(self) -> Figures:
        """What happened since the start, in figures."""
        self._require_open()
        return Figures(
            tally=self._log.tally,
            templates=self._changes.around.cache.metrics,
            documents=self._documents.cache.metrics,
            host=self.metrics(),
            components=len(self._components.loaded),
            deciding=self._dispatch.deciding,
            waits=Durations() if self._host is None else self._host.waits,
            budgets=self._standing_of_budgets(),
            pending=self._pending(),
            telemetry={} if self._tracing is None else self._tracing.counts,
        )

    def unready(self) -> str | None:
        """Why no call can be made now, in a word: the `state` or the `record` fails, or all calls are `stopped`; else None."""
        self._require_open()
        try:
            # By the store's word: another process may have stopped everything a moment ago.
            stopped = any(stop.scope == EVERYTHING for stop in self._store.stops())
        except HostUnavailable:
            return "state"
        try:
            self._log.check()
        except HostUnavailable:
            return "record"
        return "stopped" if stopped else None

    def _standing_of_budgets(self) -> tuple[BudgetFigure, ...]:
        try:
            found = self.budgets()
        except HostUnavailable:
            # Nobody can tell how they stand: no figure says so, and `unready` says why.
            return ()
        named = [one for one in found if not one.whose.startswith("runs/")]
        return tuple(BudgetFigure(one.whose, one.metric.value, one.spent, one.limit) for one in named[:MAX_BUDGETS])

    def _pending(self) -> int | None:
        try:
            return len(self.approvals(status="pending"))
        except HostUnavailable:
            return None
