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
def python_component() -> Path:
    """The Python evaluator; built on first use (about ten seconds), then kept in `.cache/components`."""
    script = COMPONENTS / "python" / "build.py"
    built = subprocess.run([sys.executable, str(script)], check=True, stdout=subprocess.PIPE, text=True)
    return Path(built.stdout.strip().splitlines()[-1])
