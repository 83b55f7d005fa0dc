"""Attach a WIT package's documentation to the component that was built from it, as `sandbox component build` does.

No toolchain keeps WIT's comments in a component; `wasm-tools component wit DIR --wasm` does, in a section of its own.

    python components/attach_docs.py WIT_FOLDER COMPONENT
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.cli.sections import section, with_section
from sandbox.wit.binary import PACKAGE_DOCS


def docs_of(folder: str | Path) -> bytes | None:
    """The section that documents the WIT package of a folder; None where nothing of it is documented."""
    words = ["wasm-tools", "component", "wit", str(folder), "--wasm"]
    return section(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout, PACKAGE_DOCS)


def main(folder: str, component: str) -> None:
    """Attach the documentation of `folder` to `component`, in place."""
    docs = docs_of(folder)
    if docs is None:
        raise SystemExit(f"`{folder}` documents nothing")
    path = Path(component)
    path.write_bytes(with_section(path.read_bytes(), PACKAGE_DOCS, docs))


if __name__ == "__main__":
    main(*sys.argv[1:])
