"""Build the JavaScript component unless it is there already, and print its path.

npm installs the toolchain once, into `.cache/javascript`: what `pins.json` names by version and hash (it names no
registry), and without running any package's scripts. `npm ci` would refuse: it wants the packages of every other platform in the
lock file too, which a mirror need not have. Bundling the sources and making 13 MB of StarlingMonkey takes about half a minute.

    python components/web/build.py
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import on_demand  # noqa: E402 - it lies beside the components

ADVICE = "install Node.js 20 or newer, or pip install -r requirements-node.txt"


def inputs() -> list[Path]:
    """The files that the component is made of; the lock file stands for the toolchain."""
    return [HERE / "build.py", HERE / "pins.json", *sorted(HERE.glob("*.js")), *sorted(HERE.glob("wit/*.wit"))]


def toolchain() -> Path:
    """The folder with npm's packages, installed once for each lock file."""
    name = hashlib.sha256((HERE / "pins.json").read_bytes()).hexdigest()[:16]
    folder = on_demand.CACHE / "javascript" / name
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", folder)
        shutil.copy(HERE / "pins.json", folder / "package-lock.json")
        npm = on_demand.tool("npm", ADVICE)
        on_demand.run(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", folder=folder)
        done.touch()
    return folder / "node_modules" / ".bin"


def make(folder: Path) -> None:
    """The component in `folder`, its WIT documentation attached."""
    on_demand.tool("node", ADVICE)
    commands = toolchain()
    shutil.copytree(HERE / "wit", folder / "wit")
    for source in HERE.glob("*.js"):
        shutil.copy(source, folder)
    on_demand.run(str(commands / "rolldown"), "app.js", "--format", "esm", "-o", "bundle.js", folder=folder)
    on_demand.run(
        str(commands / "jco"), "componentize", "bundle.js", "--wit", "wit", "-n", "web", "-o", "web.wasm", folder=folder
    )
    on_demand.attach_docs(folder, "web.wasm")


def build() -> Path:
    """The component's path."""
    return on_demand.kept("web.wasm", on_demand.digest(inputs()), make)


if __name__ == "__main__":
    print(build())
