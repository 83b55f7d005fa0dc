"""A host's figures as Prometheus reads them.

Decides the names, in `docs/metrics.md`, and what a figure is told apart by: a component's name and closed words, nothing that a
client or a guest wrote. Leaves what is counted to `sandbox.audit.tally` and the host.

Source: the Prometheus text format 0.0.4; names and units as "Metric and label naming" asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sandbox.figures import Figures
from sandbox.telemetry.durations import Durations
from sandbox.template.cache import CacheMetrics

_Labels = TypeVar("_Labels", bound=tuple[str, ...])
_CHANGES = ("policy_loaded", "policy_updated", "policy_refused", "permission_granted", "permission_revoked")
_REFUSALS = ("rate_limit_exceeded", "budget_exceeded")
_WORKERS = ("running", "idle", "spares", "taken")
_ENDED = {
    "worker_crashed": ("sandbox_worker_crashes", "Workers that died of their guest"),
    "worker_killed": ("sandbox_worker_kills", "Workers that were killed: a limit, a revoke, a cancellation, a signal"),
}
_SINCE_THE_START = {
    "calls": ("sandbox_host_calls", "Calls that reached the host"),
    "retries": ("sandbox_worker_retries", "Calls that were begun again in another worker"),
    "zygote_restarts": ("sandbox_zygote_restarts", "Times that the process which forks workers was started again"),
}


def exposition(figures: Callable[[], Figures]) -> bytes:
    """The figures of this moment, as one text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures()))
    return generate_latest(registry)


class _Figures(Collector):
    """One moment's figures."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Every metric, its series in order."""
        tally, host = self._figures.tally, self._figures.host
        yield _counted("sandbox_calls", "Calls that ended, by how", ("component", "ending"), tally.ends)
        yield _durations(tally.durations)
        yield _counted("sandbox_decisions", "Calls that were decided about", ("effect",), _alone(tally.decisions))
        yield _counted("sandbox_denials", "Effects of running calls that were refused", ("component", "code"), tally.denials)
        changes = {each: tally.events[each] for each in _CHANGES}
        yield _counted("sandbox_policy_changes", "Policies loaded and changed, grants and revokes", ("event",), _alone(changes))
        refusals = {each: tally.events[each] for each in _REFUSALS}
        yield _counted("sandbox_spending_refusals", "Refusals and stops by a rate or a budget", ("event",), _alone(refusals))
        yield _counted("sandbox_records", "Records written, by their event", ("event",), _alone(tally.events))
        yield from _cache({"template": self._figures.templates, "document": self._figures.documents})
        yield GaugeMetricFamily("sandbox_components", "Components whose tools are shown", self._figures.components)
        yield _gauged("sandbox_workers", "Worker processes", "state", {each: host[each] for each in _WORKERS if each in host})
        yield GaugeMetricFamily("sandbox_calls_waiting", "Calls that wait for a worker", host.get("waiting", 0))
        for event, (name, told) in _ENDED.items():
            yield CounterMetricFamily(name, told, tally.events[event])
        for key, (name, told) in _SINCE_THE_START.items():
            yield CounterMetricFamily(name, told, host.get(key, 0))


def _alone(counts: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): count for name, count in counts.items()}


def _counted(name: str, told: str, labels: tuple[str, ...], counts: Mapping[_Labels, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, told, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _gauged(name: str, told: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _durations(durations: Mapping[str, Durations]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "sandbox_call_seconds", "How long calls took, from the decision to the end", labels=("component",)
    )
    for component, took in sorted(durations.items()):
        below, buckets = 0, []
        for bound, count in zip((*map(str, took.bounds), "+Inf"), took.buckets, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric((component,), buckets, took.seconds)
    return family


def _cache(caches: Mapping[str, CacheMetrics]) -> Iterator[Metric]:
    looked = {
        (name, found): count for name, each in caches.items() for found, count in (("hit", each.hits), ("miss", each.misses))
    }
    yield _counted("sandbox_policy_cache", "Looked up in the caches of policies", ("cache", "result"), looked)
    family = CounterMetricFamily(
        "sandbox_policy_compile_seconds", "Time spent on reading and compiling policies", labels=("cache",)
    )
    for name, each in caches.items():
        family.add_metric((name,), each.seconds)
    yield family
