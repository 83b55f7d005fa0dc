"""The test guests as others might ship them: with a policy inside, with other words, with other bytes that do the same."""

from __future__ import annotations

from pathlib import Path

from sandbox.cli.sections import with_section
from sandbox.wit.binary import POLICY
from tests.support.guests import guest


def asking(folder: Path, name: str, policy: str, file: str | None = None) -> Path:
    """The guest `name` with a policy inside that it asks for."""
    return _written(folder, file or name, with_section(guest(name).read_bytes(), POLICY, policy.encode()))


def rebuilt(folder: Path, name: str, file: str | None = None) -> Path:
    """The guest `name` in other bytes, with the same tools and imports."""
    return _written(folder, file or name, with_section(guest(name).read_bytes(), "x", b"another build"))


def reworded(folder: Path, name: str, words: str, other: str, file: str | None = None) -> Path:
    """The guest `name` whose documentation says `other` where it said `words`."""
    data = guest(name).read_bytes()
    assert data.count(words.encode()) == 1
    assert len(words) == len(other), "the section's length is not rewritten"
    return _written(folder, file or name, data.replace(words.encode(), other.encode()))


def _written(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.wasm"
    path.write_bytes(data)
    return path
