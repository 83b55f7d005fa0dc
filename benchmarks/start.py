"""Measure how a server starts with many installed components.

    python -m benchmarks.start [--counts 1 10 50] [--rounds 5]

For each count a home with so many components (the files component in as many different builds, each under its own policy), then
`sandbox run` without a file: from the start of the process to the first tools/list, from there to the end of the first call, with
what was compiled before and, once, without it. Round by round, one count after the other, so that a slow minute is everybody's.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.stdio import RawClient
from sandbox import Sandbox
from tests.support.components import files_component
from tests.support.variants import with_section


async def install(home: Path, count: int, folder: Path) -> None:
    """A home with `count` components of twelve tools each, no two of the same bytes."""
    async with Sandbox(home) as sandbox:
        for number in range(count):
            component = folder / f"files{number}.wasm"
            component.write_bytes(with_section(files_component().read_bytes(), "build", str(number).encode()))
            await sandbox.install(component, policy=files_component().with_name("policy.yaml"))


def measure(home: Path) -> tuple[float, float, int]:
    """Seconds to the first list, seconds from there to the end of the first call, and how many tools there were."""
    began = time.perf_counter()
    client = RawClient([sys.executable, "-m", "sandbox", "run", "--home", str(home), "--disable-builtin-tools"], modern=True)
    try:
        tools, cursor = 0, None
        while True:
            page = client.ask("tools/list", {} if cursor is None else {"cursor": cursor})
            if not tools:
                listed = time.perf_counter()
            tools += len(page["tools"])
            if (cursor := page.get("nextCursor")) is None:
                break
        asked = time.perf_counter()
        client.ask("tools/call", {"name": "files0__list", "arguments": {"path": "/"}})
        return listed - began, time.perf_counter() - asked, tools
    finally:
        client.close()


def main() -> None:
    """Print one line for each count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandbox-start-") as name:
        homes = {count: Path(name) / str(count) for count in arguments.counts}
        for count, home in homes.items():
            asyncio.run(install(home, count, Path(name)))
        cold = {}
        for count, home in homes.items():
            shutil.rmtree(home / "cache")
            cold[count] = measure(home)
        rounds = [{count: measure(home) for count, home in homes.items()} for _ in range(arguments.rounds)]
    print("components  tools  first list (s)  first call (s)  nothing compiled: list (s)  call (s)")
    for count in arguments.counts:
        lists, calls = (statistics.median(one[count][part] for one in rounds) for part in (0, 1))
        tools, (cold_list, cold_call, _) = rounds[0][count][2], cold[count]
        print(f"{count:10}  {tools:5}  {lists:14.2f}  {calls:14.2f}  {cold_list:26.2f}  {cold_call:8.2f}")


if __name__ == "__main__":
    main()
