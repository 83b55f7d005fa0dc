"""Node.js programs of the npm registry, at exact versions, installed on first use; without node 22 or npm the tests are skipped,
which CI refuses."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = 22
SECONDS = 110


@functools.cache
def node_version() -> int:
    """The major version of the node that would run; 0 without node or npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return 0
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    return int(told.strip().lstrip("v").split(".")[0])


@functools.cache
def installed(folder: Path) -> Path:
    """`.cache/NAME` with the packages of `folder/package.json`, and beside them the folder's scripts."""
    place = ROOT / ".cache" / folder.name
    place.mkdir(parents=True, exist_ok=True)
    wanted = (folder / "package.json").read_text()
    for script in folder.glob("*.mjs"):
        shutil.copy(script, place)
    done = place / "installed.json"
    if not done.exists() or done.read_text() != wanted:
        (place / "package.json").write_text(wanted)
        words = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(words, cwd=place, check=True, timeout=SECONDS)
        done.write_text(wanted)
    return place


@dataclass(frozen=True)
class Done:
    """A program that has ended."""

    code: int
    out: str
    err: str


async def run(*words: str | Path, folder: Path, environment: dict[str, str] | None = None) -> Done:
    """Run a program of node's while this loop goes on serving it."""
    process = await asyncio.create_subprocess_exec(
        "node",
        *map(str, words),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())
