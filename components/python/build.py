"""Build the Python component unless it is there already, and print its path.

componentize-py makes 18 MB of CPython in about ten seconds.

    python components/python/build.py
"""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import on_demand  # noqa: E402 - it lies beside the components


def inputs() -> list[Path]:
    """The files that the component is made of."""
    return [HERE / "app.py", HERE / "build.py", *sorted(HERE.glob("wit/*.wit")), *sorted(on_demand.INCLUDE.glob("*/*.wit"))]


def make(folder: Path) -> None:
    """The component in `folder`, its WIT documentation attached."""
    shutil.copytree(HERE / "wit", folder / "wit")
    shutil.copytree(on_demand.INCLUDE, folder / "wit" / "deps")
    shutil.copy(HERE / "app.py", folder / "app.py")
    componentize = on_demand.tool("componentize-py", "pip install -r requirements-dev.txt")
    on_demand.run(componentize, "-d", "wit", "-w", "python", "componentize", "app", "-o", "python.wasm", folder=folder)
    on_demand.attach_docs(folder, "python.wasm")


def build() -> Path:
    """The component's path."""
    return on_demand.kept("python.wasm", on_demand.digest(inputs(), importlib.metadata.version("componentize-py")), make)


if __name__ == "__main__":
    print(build())
