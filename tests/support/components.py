"""The example components, as files to load."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

COMPONENTS = Path(__file__).resolve().parents[2] / "components"


def files_component() -> Path:
    """The filesystem tool in C, as it is committed."""
    return COMPONENTS / "files" / "files.wasm"


@functools.cache
def built(name: str) -> Path:
    """A component that is built on first use, then kept in `.cache/components`."""
    script = COMPONENTS / name / "build.py"
    done = subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip().splitlines()[-1])


def python_component() -> Path:
    """The Python evaluator; about ten seconds to build."""
    return built("python")


def web_component() -> Path:
    """The page reader in JavaScript; half a minute to build, and its toolchain to install before that."""
    return built("web")
