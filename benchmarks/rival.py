"""The same component called through this host and through Wassette, turn by turn, in one run.

    python -m benchmarks.rival --wassette 'COMMAND' [--rounds 5]

COMMAND starts Wassette; the script adds `run --component-dir … --disable-builtin-tools`. Both servers stay up and are called in
turns with the raw client of `benchmarks.stdio` (protocol 2025-11-25, which both speak): calls one after another, then 32 in
flight. Prints each side's medians over the rounds and the ratios, ours to theirs.

Rules: the same files, the same calls, both warm; a server that idles costs the other nothing. Fails where a promise is not
kept: a CPython component's call at most as long as theirs and at least 1.5 times their calls a second with 32 in flight, a
small component's call at most 2.5 times as long as theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.stdio import RawClient, _in_flight
from tests.support.components import python_component
from tests.support.guests import guest

CALLS, IN_FLIGHT = 200, 32
MAX_LARGE, MIN_IN_FLIGHT, MAX_SMALL = 1.0, 1.5, 2.5


@dataclass(frozen=True, slots=True)
class Case:
    """One component, one function, and the tool's name on either side."""

    component: Path
    ours: str
    theirs: str
    arguments: dict[str, Any]


def cases() -> dict[str, Case]:
    """A CPython component and a small one in C."""
    return {
        "CPython": Case(python_component(), "python__evaluate", "evaluate", {"code": "1+1"}),
        "small": Case(guest("every_type"), "every_type__echo-string", "echo-string", {"x": "hello"}),
    }


def measure(case: Case, wassette: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Medians of both sides and their ratios."""
    sides = {"ours": (_ours(case, folder), case.ours), "theirs": (_theirs(case, wassette, folder), case.theirs)}
    took: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, (client, tool) in sides.items():
            took[side].append(_round(client, {"name": tool, "arguments": case.arguments}))
    for client, _ in sides.values():
        client.close()
    found = {side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in took.items()}
    ratios = [ours / theirs for ours, theirs in zip(found["ours"], found["theirs"], strict=True)]
    shown = {side: {"p50_ms": round(p50, 3), "in_flight_per_s": round(many)} for side, (p50, many) in found.items()}
    return {**shown, "ratio": {"p50": round(ratios[0], 2), "in_flight": round(ratios[1], 2)}}


def _round(client: RawClient, params: dict[str, Any]) -> tuple[float, float]:
    """The median of calls one after another in milliseconds, and calls a second with many in flight."""
    took = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        client.ask("tools/call", params)
        took.append((time.perf_counter() - begun) * 1e3)
    whole, each = _in_flight(client, params, CALLS, IN_FLIGHT)
    return statistics.median(took), len(each) / whole


def _ours(case: Case, folder: Path) -> RawClient:
    command = [sys.executable, "-m", "sandbox", "run", str(case.component), "--policy", "deny-all"]
    return _warm(RawClient([*command, "--home", str(folder / "home")], modern=False), case.ours)


def _theirs(case: Case, wassette: str, folder: Path) -> RawClient:
    components = folder / f"components-{case.component.stem}"
    components.mkdir()
    shutil.copy(case.component, components)
    command = [*shlex.split(wassette), "run", "--component-dir", str(components), "--disable-builtin-tools"]
    return _warm(RawClient(command, modern=False), case.theirs)


def _warm(client: RawClient, tool: str) -> RawClient:
    """Wait until the tool is listed: both servers list what they have while they still compile."""
    give_up = time.monotonic() + 300
    while tool not in {one["name"] for one in client.ask("tools/list", {})["tools"]}:
        if time.monotonic() > give_up:
            raise SystemExit(f"`{tool}` is not listed")
        time.sleep(0.2)
    return client


def main() -> int:
    """Measure, print one JSON document, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wassette", help="the command that starts Wassette")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.wassette is None:
        print("nothing to compare with: give --wassette COMMAND", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        report = {name: measure(case, options.wassette, options.rounds, Path(folder)) for name, case in cases().items()}
    print(json.dumps(report, indent=2))
    large, small = report["CPython"]["ratio"], report["small"]["ratio"]
    return 0 if large["p50"] <= MAX_LARGE and large["in_flight"] >= MIN_IN_FLIGHT and small["p50"] <= MAX_SMALL else 1


if __name__ == "__main__":
    sys.exit(main())
