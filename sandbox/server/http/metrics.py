"""A host's figures as Prometheus reads them.

Decides the names, in `docs/metrics.md`, and what a figure is told apart by: a component's name and closed words, nothing that a
client or a guest wrote. Leaves what is counted to `sandbox.audit.tally` and the host.

Source: the Prometheus text format 0.0.4; names and units as "Metric and label naming" asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Message, Send

from sandbox.figures import Figures
from sandbox.telemetry.durations import Durations

_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_CHANGES = ("policy_loaded", "policy_updated", "policy_refused", "permission_granted", "permission_revoked")
_REFUSALS = ("rate_limit_exceeded", "budget_exceeded")
_APPROVALS = ("requested", "approved", "denied", "expired", "withdrawn", "used")
_WORKERS = ("running", "idle", "spares", "taken", "suspended", "parked")
_ENDED = {
    "worker_crashed": ("sandbox_worker_crashes", "Workers that died of their guest"),
    "worker_killed": ("sandbox_worker_kills", "Workers that were killed: a limit, a revoke, a cancellation, a signal"),
}
_SINCE_THE_START = {
    "calls": ("sandbox_host_calls", "Calls that reached the host"),
    "retries": ("sandbox_worker_retries", "Calls that were begun again in another worker"),
    "zygote_restarts": ("sandbox_zygote_restarts", "Times that the process which forks workers was started again"),
    "gateway_restarts": ("sandbox_gateway_restarts", "Times that the process which goes out for them was started again"),
}


@dataclass(slots=True)
class Requests:
    """What a server has answered: requests by status, and whether their tokens were good."""

    statuses: Counter[str] = field(default_factory=Counter)
    authentications: Counter[str] = field(default_factory=Counter)

    def counted(self, send: Send) -> Send:
        """The same way to answer, counting."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses[str(message["status"])] += 1
            await send(message)

        return sending


def exposition(figures: Callable[[], Figures], requests: Requests) -> bytes:
    """The figures of this moment, as one text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures(), requests))
    return generate_latest(registry)


class _Figures(Collector):
    """One moment's figures."""

    def __init__(self, figures: Figures, requests: Requests) -> None:
        self._figures, self._requests = figures, requests

    def collect(self) -> Iterator[Metric]:
        """Every metric, its series in order."""
        yield from self._calls()
        yield from self._policies()
        yield from self._spending()
        yield from self._processes()
        yield from self._edge()

    def _calls(self) -> Iterator[Metric]:
        tally = self._figures.tally
        yield _counted("sandbox_calls", "Calls that ended, by how", ("component", "ending"), tally.ends)
        by_component = {(component,): took for component, took in sorted(tally.durations.items())}
        yield _timed("sandbox_call_seconds", "How long calls took, from the decision to the end", ("component",), by_component)
        yield _counted("sandbox_decisions", "Calls that were decided about", ("effect",), _alone(tally.decisions))
        yield _timed("sandbox_decision_seconds", "How long it took to decide about a call", (), {(): self._figures.deciding})
        yield _counted("sandbox_denials", "Effects of running calls that were refused", ("component", "code"), tally.denials)
        yield _checks(tally.checks)

    def _policies(self) -> Iterator[Metric]:
        figures, host = self._figures, self._figures.host
        changes = {each: figures.tally.events[each] for each in _CHANGES}
        yield _counted("sandbox_policy_changes", "Policies loaded and changed, grants and revokes", ("event",), _alone(changes))
        made = {("template",): figures.templates.made, ("document",): figures.documents.made}
        yield _timed("sandbox_policy_compile_seconds", "How long it took to read or compile a policy", ("cache",), made)
        found = {
            (name, result): number
            for name, cache in (("template", figures.templates), ("document", figures.documents))
            for result, number in (("hit", cache.hits), ("miss", cache.misses))
        }
        found |= {("component", "hit"): host.get("compiled_hits", 0), ("component", "miss"): host.get("compiled_misses", 0)}
        yield _counted("sandbox_cache_lookups", "Looked up in what was made before", ("cache", "result"), found)
        yield GaugeMetricFamily("sandbox_components", "Components whose tools are shown", figures.components)

    def _spending(self) -> Iterator[Metric]:
        figures = self._figures
        refusals = {each: figures.tally.events[each] for each in _REFUSALS}
        yield _counted("sandbox_spending_refusals", "Refusals and stops by a rate or a budget", ("event",), _alone(refusals))
        labels = ("budget", "metric")
        spent = GaugeMetricFamily("sandbox_budget_spent", "What is spent of a budget in its period", labels=labels)
        limit = GaugeMetricFamily("sandbox_budget_limit", "What a budget has for its period", labels=labels)
        for one in figures.budgets:
            spent.add_metric((one.whose, one.metric), one.spent)
            limit.add_metric((one.whose, one.metric), one.limit)
        yield from (spent, limit)
        answered = {each: figures.tally.events[f"approval_{each}"] for each in _APPROVALS}
        yield _counted("sandbox_approvals", "Approvals, by what became of them here", ("event",), _alone(answered))
        if figures.pending is not None:
            yield GaugeMetricFamily("sandbox_approvals_pending", "Approvals that wait for an answer", figures.pending)

    def _processes(self) -> Iterator[Metric]:
        tally, host = self._figures.tally, self._figures.host
        yield _gauged("sandbox_workers", "Worker processes", "state", {each: host[each] for each in _WORKERS if each in host})
        yield GaugeMetricFamily("sandbox_calls_waiting", "Calls that wait for a worker", host.get("waiting", 0))
        yield _timed("sandbox_call_wait_seconds", "How long calls waited for a worker", (), {(): self._figures.waits})
        for event, (name, told) in _ENDED.items():
            yield CounterMetricFamily(name, told, tally.events[event])
        for key, (name, told) in _SINCE_THE_START.items():
            yield CounterMetricFamily(name, told, host.get(key, 0))

    def _edge(self) -> Iterator[Metric]:
        tally, requests = self._figures.tally, self._requests
        yield _counted("sandbox_records", "Records written, by their event", ("event",), _alone(tally.events))
        yield _timed("sandbox_record_seconds", "How long it took to write a record", (), {(): tally.written})
        yield _counted("sandbox_http_requests", "Requests that were answered", ("status",), _alone(requests.statuses))
        tokens = _alone(requests.authentications)
        yield _counted("sandbox_authentications", "Requests whose token was looked at", ("result",), tokens)
        told = self._figures.telemetry
        yield _counted("sandbox_telemetry", "What was sent to the collector, or given up", ("kind", "result"), told)


def _alone(counts: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): count for name, count in counts.items()}


def _counted(name: str, told: str, labels: tuple[str, ...], counts: Mapping[_Labels, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, told, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _checks(checks: Mapping[tuple[str, str, str], int]) -> Metric:
    """The name that this figure was given, without the ending that a counter has by convention."""
    family = UnknownMetricFamily(
        "policy_permission_checks", "How often the gates judged an effect of a call", labels=("component", "type", "allowed")
    )
    for values, count in sorted(checks.items()):
        family.add_metric(values, count)
    return family


def _gauged(name: str, told: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _timed(name: str, told: str, labels: tuple[str, ...], durations: Mapping[_Labels, Durations]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, told, labels=labels)
    for values, took in durations.items():
        below, buckets = 0, []
        for bound, count in zip((*map(str, took.bounds), "+Inf"), took.buckets, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(values, buckets, took.seconds)
    return family
