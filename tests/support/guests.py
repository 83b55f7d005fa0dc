"""Where the test guests lie: real components, each named after what it tries."""

from __future__ import annotations

from pathlib import Path

GUESTS = Path(__file__).resolve().parents[1] / "guests"


def guest(name: str) -> Path:
    """The component `tests/guests/NAME/NAME.wasm`."""
    path = GUESTS / name / f"{name}.wasm"
    if not path.is_file():
        raise LookupError(f"no guest `{name}`: python tests/guests/build.py {name}")
    return path
