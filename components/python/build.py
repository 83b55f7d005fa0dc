"""Build the Python component unless it is there already: `.cache/components/DIGEST/python.wasm`, then its path on stdout.

componentize-py makes 18 MB of CPython in about ten seconds, so the result is kept outside git and named after what went
into it: the sources, the WIT and componentize-py's version.

    python components/python/build.py
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include" / "wit"
CACHE = HERE.parent.parent / ".cache" / "components"


def inputs() -> list[Path]:
    """The files that the component is made of."""
    return [HERE / "app.py", HERE / "build.py", *sorted(HERE.glob("wit/*.wit")), *sorted(INCLUDE.glob("*/*.wit"))]


def digest() -> str:
    """A name for exactly these inputs and this componentize-py."""
    seen = hashlib.sha256(importlib.metadata.version("componentize-py").encode())
    for path in inputs():
        seen.update(hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()[:16]


def tool(name: str) -> str:
    """A command of this interpreter's environment."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]))
    if found is None:
        raise SystemExit(f"`{name}` is not installed: pip install -r requirements-dev.txt")
    return found


def make(folder: Path) -> Path:
    """The component, built in `folder`, its WIT documentation attached."""
    shutil.copytree(HERE / "wit", folder / "wit")
    shutil.copytree(INCLUDE, folder / "wit" / "deps")
    shutil.copy(HERE / "app.py", folder / "app.py")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for command in (
        [tool("componentize-py"), "-d", "wit", "-w", "python", "componentize", "app", "-o", "python.wasm"],
        [sys.executable, str(HERE.parent / "attach_docs.py"), "wit", "python.wasm"],
    ):
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr, env={**os.environ, "PATH": path})
    return folder / "python.wasm"


def build() -> Path:
    """The component's path; two builds at once are harmless, since the finished file is renamed into place."""
    finished = CACHE / digest() / "python.wasm"
    if not finished.exists():
        finished.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            make(Path(folder)).replace(finished)
    return finished


if __name__ == "__main__":
    print(build())
