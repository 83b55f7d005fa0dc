"""Another process swaps folders, files and links meanwhile: nothing outside and nothing denied is ever read (FS-16)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host.gates.conftest import DENIED, O_CREATE, O_TRUNCATE, Start, allow, deny

SECONDS = 2.0
# Alone in its process, without the interpreter's lock of this one: rename exchanges two names at once.
SWAPPER = """
import ctypes, sys, os
libc = ctypes.CDLL(None)
one, other = sys.argv[1].encode(), sys.argv[2].encode()
print("ready", flush=True)
while True:
    libc.renameat2(-100, one, -100, other, 2)
"""


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Exchange two paths as fast as it goes."""
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-c", SWAPPER, str(one), str(other)],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    os.read(reader, 5)
    try:
        yield
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def race(work: Path) -> Path:
    for name, text in (("real", "public"), ("private", "DENIED")):
        (work / name).mkdir()
        (work / name / "s").write_text(text)
    (work.parent / "outside" / "s").write_text("OUTSIDE")
    return work


@pytest.mark.parametrize("target", ["private", "../outside"])
def test_a_folder_swapped_for_a_link(start: Start, race: Path, target: str) -> None:
    (race / "link").symlink_to(target)
    guest = start({"/w": race}, allow(f"{race}/**"), deny(f"{race}/private/**"))
    seen: Counter[object] = Counter()
    with swapping(race / "real", race / "link"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            seen[guest.content("real/s")] += 1
            seen[guest.content("link/s")] += 1
    assert seen[b"public"] > 0
    assert seen[DENIED] > 0
    assert {content for content in seen if isinstance(content, bytes)} == {b"public"}


def test_a_file_swapped_for_a_link(start: Start, race: Path) -> None:
    (race / "f").write_text("public")
    (race / "link").symlink_to("private/s")
    guest = start({"/w": race}, allow(f"{race}/**"), deny(f"{race}/private/**"))
    seen: Counter[object] = Counter()
    with swapping(race / "f", race / "link"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            seen[guest.content("f")] += 1
    assert seen[b"public"] > 0
    assert {content for content in seen if isinstance(content, bytes)} == {b"public"}


def test_a_file_swapped_for_a_read_only_one_is_never_truncated(start: Start, race: Path) -> None:
    """Two regular files, no link at all: what is truncated is what was judged, or nothing."""
    (race / "a").mkdir()
    (race / "b").mkdir()
    (race / "a" / "f").write_text("mine")
    (race / "b" / "f").write_text("kept")
    guest = start({"/w": race}, allow(f"{race}/**"), deny(f"{race}/private/**"))
    (race / "private" / "f").write_text("kept")
    (race / "link").symlink_to("private")
    opened = 0
    with swapping(race / "a", race / "link"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            handle = guest.open("a/f", O_TRUNCATE | O_CREATE, 3)
            if handle >= 0:
                opened += 1
                guest.drop(handle)
    assert opened > 0
    assert (race / "private" / "f").read_text() == "kept"
    assert sorted(os.listdir(race / "private")) == ["f", "s"]


def test_nothing_is_made_or_removed_where_a_link_leads(start: Start, race: Path) -> None:
    (race / "link").symlink_to("../outside")
    guest = start({"/w": race}, allow(f"{race}/**"), deny(f"{race}/private/**"))
    done: Counter[str] = Counter()
    with swapping(race / "real", race / "link"):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            done["made"] += guest.mkdir(0, "real/new") == 0
            done["removed"] += guest.rmdir(0, "real/new") == 0
            done["unlinked"] += guest.unlink(0, "real/secret") == 0
            done["linked"] += guest.symlink(0, "s", "real/l") == 0
            done["gone"] += guest.unlink(0, "real/l") == 0
    assert done["made"] > 0
    assert done["removed"] > 0
    assert done["unlinked"] == 0
    assert sorted(os.listdir(race.parent / "outside")) == ["s", "secret"]
