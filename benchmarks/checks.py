"""Does a check slow down with the number of rules? Microseconds for a file and a network decision among 10, 1,000, 100,000.

Rules: the rules are built in Python (no document is as long); every path and host is asked once, so no memo answers; the sizes
take turns in one run, and the medians are compared. Fails above `MAX_RATIO` between the most and the fewest rules.

    python -m benchmarks.checks
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sandbox.template.cache import DocumentCache, TemplateCache
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.template import Access, Effect, FileRule, NetworkRule
from sandbox.wit.types import Digest

SIZES = (10, 1_000, 100_000)
QUESTIONS = 400
ROUNDS = 10
MAX_RATIO = 1.5
ORIGIN = "policy.yaml:1:1"


def file_rules(count: int) -> tuple[FileRule, ...]:
    """Trees, globs by ending and by beginning in one folder, and denies inside the trees, in equal shares."""
    kinds: tuple[Callable[[int], FileRule], ...] = (
        lambda n: FileRule(Effect.ALLOW, f"/srv/tree{n}/**", Access.READ, ORIGIN),
        lambda n: FileRule(Effect.ALLOW, f"/srv/endings/*.t{n:05}", Access.ALL, ORIGIN),
        lambda n: FileRule(Effect.ALLOW, f"/srv/beginnings/b{n:05}-*", Access.READ, ORIGIN),
        lambda n: FileRule(Effect.DENY, f"/srv/tree{n}/private/**", Access.ALL, ORIGIN),
        lambda n: FileRule(Effect.ALLOW, f"/srv/any/**/k{n}", Access.READ, ORIGIN),
    )
    return tuple(kinds[at % 5](at // 5) for at in range(count))


def paths(count: int, at_round: int) -> list[str]:
    """Paths that no earlier round asked for: allowed, denied and unknown ones among all the rules."""
    found = []
    for question in range(QUESTIONS):
        rule, tail = (question * 7919) % max(count // 5, 1), f"{at_round}-{question}"
        found += [f"/srv/tree{rule}/a/{tail}", f"/srv/tree{rule}/private/{tail}", f"/srv/endings/{tail}.t{rule:05}"]
        found += [f"/srv/beginnings/b{rule:05}-{tail}", f"/srv/any/{tail}/k{rule}", f"/etc/{tail}/x/y"]
    return found


def network_rules(count: int) -> tuple[NetworkRule, ...]:
    """Hosts, subdomains, address ranges, paths of one host, and denies, in equal shares."""

    def rule(effect: Effect, host: str | None, cidr: str | None = None, paths: tuple[str, ...] | None = None) -> NetworkRule:
        return NetworkRule(effect, host, cidr, ((443, 443),), ("https",), None, paths, ORIGIN)

    kinds: tuple[Callable[[int], NetworkRule], ...] = (
        lambda n: rule(Effect.ALLOW, f"host{n}.example"),
        lambda n: rule(Effect.ALLOW, f"*.zone{n}.example"),
        lambda n: rule(Effect.ALLOW, None, f"10.{n // 250 % 250}.{n % 250}.0/24"),
        lambda n: rule(Effect.ALLOW, "one.example", paths=(f"/v{n}/**",)),
        lambda n: rule(Effect.DENY, f"host{n}.zone{n}.example"),
    )
    return tuple(kinds[at % 5](at // 5) for at in range(count))


def requests(count: int, at_round: int) -> list[tuple[str, str]]:
    """Hosts and paths: allowed, denied and unknown ones among all the rules."""
    found = []
    for question in range(QUESTIONS):
        rule = (question * 7919) % max(count // 5, 1)
        found += [(f"host{rule}.example", "/"), (f"a.zone{rule}.example", "/"), (f"host{rule}.zone{rule}.example", "/")]
        found += [("one.example", f"/v{rule}/{at_round}"), (f"10.{rule // 250 % 250}.{rule % 250}.7", "/"), ("none.example", "/")]
    return found


@dataclass
class Timed:
    """One kind of check among one number of rules."""

    ask: Callable[[int], Iterator[float]]
    build_seconds: float
    samples: list[float] = field(default_factory=list)


def timed_files(count: int) -> Timed:
    """File decisions among `count` rules."""
    rules = file_rules(count)
    started = time.perf_counter()
    index = FileRules(rules)
    built = time.perf_counter() - started

    def ask(at_round: int) -> Iterator[float]:
        for path in paths(count, at_round):
            started = time.perf_counter()
            index.access(path)
            yield time.perf_counter() - started

    return Timed(ask, built)


def timed_network(count: int) -> Timed:
    """Network decisions among `count` rules."""
    rules = network_rules(count)
    started = time.perf_counter()
    index = NetworkRules(rules)
    built = time.perf_counter() - started

    def ask(at_round: int) -> Iterator[float]:
        for host, path in requests(count, at_round):
            started = time.perf_counter()
            index.decide("https", host, 443, "GET", path)
            yield time.perf_counter() - started

    return Timed(ask, built)


def measure(make: Callable[[int], Timed]) -> dict[int, Timed]:
    """Every size in turn, round by round; the collector stands still, for its pauses grow with the rules and not the checks."""
    timed = {size: make(size) for size in SIZES}
    gc.collect()
    gc.disable()
    for at_round in range(ROUNDS):
        for one in timed.values():
            one.samples += one.ask(at_round)
    gc.enable()
    return timed


def caches() -> dict[str, dict[str, float]]:
    """Milliseconds for a document and its template: made, and found in the cache."""
    documents, templates = DocumentCache(time.perf_counter), TemplateCache(time.perf_counter)
    lines = "".join(f'      - {{uri: "fs:///srv/tree{n}/**", access: [read]}}\n' for n in range(20))
    text = f'version: "2.0"\npermissions:\n  storage:\n    allow:\n{lines}'

    def compile_once() -> object:
        return templates.compile(
            documents.load(text, file="p"),
            digest=Digest("d"),
            name="tool",
            data_folder="/home/me/data/tool",
            home="/home/me",
            host_environment={"LANG": "C"},
            protected=("/home/me/state",),
            resolve=lambda path: path,
        )

    def milliseconds(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return (time.perf_counter() - started) * 1000

    first = milliseconds(compile_once)
    again = statistics.median(milliseconds(compile_once) for _ in range(200))
    found = {}
    for name, metrics in (("documents", documents.metrics), ("templates", templates.metrics)):
        found[name] = {"hits": metrics.hits, "misses": metrics.misses, "made_in_ms": metrics.seconds * 1000}
    return {**found, "both": {"first_ms": first, "again_ms": again}}


def main() -> int:
    """Print the medians and ratios; 1 if a check slows down with the number of rules."""
    report: dict[str, object] = {}
    slow = False
    for name, make in (("file", timed_files), ("network", timed_network)):
        timed = measure(make)
        medians = {size: statistics.median(one.samples) * 1e6 for size, one in timed.items()}
        ratio = medians[SIZES[-1]] / medians[SIZES[0]]
        slow |= ratio > MAX_RATIO
        for size, median in medians.items():
            print(f"{name:8} {size:>7} rules: p50 {median:6.2f} µs, index built in {timed[size].build_seconds * 1000:8.1f} ms")
        print(f"{name:8} ratio {SIZES[-1]}/{SIZES[0]}: {ratio:.2f} (at most {MAX_RATIO})")
        report[name] = {"p50_us": medians, "ratio": ratio}
    report["caches"] = caches()
    print(json.dumps(report))
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
