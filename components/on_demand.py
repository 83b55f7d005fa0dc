"""Build a large component unless it is there already: `.cache/components/DIGEST/NAME.wasm`.

What takes megabytes and seconds is kept outside git and named after what went into it: the sources, the WIT and the tools'
versions. What goes into a component, and how it is made, is its own `build.py`'s to say.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

COMPONENTS = Path(__file__).resolve().parent
CACHE = COMPONENTS.parent / ".cache"
INCLUDE = COMPONENTS / "include" / "wit"


def digest(inputs: Sequence[Path], *versions: str) -> str:
    """A name for exactly these files and versions."""
    seen = hashlib.sha256("\n".join(versions).encode())
    for path in (Path(__file__), *inputs):
        seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:16]


def environment() -> dict[str, str]:
    """This process's, with the commands of this interpreter's own environment first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path}


def tool(name: str, advice: str) -> str:
    """A command that has to be installed."""
    found = shutil.which(name, path=environment()["PATH"])
    if found is None:
        raise SystemExit(f"`{name}` is not installed: {advice}")
    return found


def run(*command: str, folder: Path) -> None:
    """A step of a build; its output goes to standard error."""
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr, env=environment())


def attach_docs(folder: Path, component: str) -> None:
    """Put the documentation of the WIT in `folder` into the component beside it."""
    run(sys.executable, str(COMPONENTS / "attach_docs.py"), "wit", component, folder=folder)


def kept(name: str, identity: str, make: Callable[[Path], None]) -> Path:
    """The finished component; `make` writes it into the folder that it is given where there is none.

    Two builds at once are harmless, since the finished file is renamed into place.
    """
    finished = CACHE / "components" / identity / name
    if not finished.exists():
        finished.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=finished.parent) as folder:
            make(Path(folder))
            (Path(folder) / name).replace(finished)
    return finished
