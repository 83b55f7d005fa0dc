"""How a project becomes a component, for each language: the tools and their words.

Decides those words. Each recipe gets a project and an empty folder, and gives the component's bytes, stripped of nothing that a
host reads; documentation and policy are added for all alike by `sandbox.cli.build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.cli.building.project import Project
from sandbox.cli.building.toolchain import find, run

Step = tuple[str, Callable[[], object]]
"""What is done, for a person who waits, and the doing."""

_C = ("--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-ffreestanding", "-Wall", "-Wextra", "-Wno-unused-function")
_LINK = ("-Wl,--no-entry", "-Wl,--strip-all")


@dataclass(frozen=True, slots=True)
class Language:
    """A recipe: the steps that make `component.wasm` in a folder, in order. Finding the tools comes before the first."""

    source: str
    steps: Callable[[Project, Path], Iterator[Step]]


def _python(project: Project, work: Path) -> Iterator[Step]:
    tool = find("componentize-py")
    module = Path(project.source).with_suffix("").as_posix().replace("/", ".")
    words: list[str | Path] = [tool, "-d", project.folder / project.wit, "-w", project.world, "componentize"]
    words += [*project.options, "-p", project.folder, module, "-o", work / "component.wasm"]
    yield "CPython and your modules become a component", lambda: run(words, folder=work)


def _javascript(project: Project, work: Path) -> Iterator[Step]:
    jco = find("jco", folder=project.folder / "node_modules" / ".bin")
    words: list[str | Path] = [jco, "componentize", project.source, "--wit", project.wit, "-n", project.world]
    words += [*project.options, "-o", work / "component.wasm"]
    yield "a JavaScript engine and your module become a component", lambda: run(words, folder=project.folder)


def _c(project: Project, work: Path) -> Iterator[Step]:
    clang, _ = find("clang"), find("wasm-ld")
    module = work / "core.wasm"
    words: list[str | Path] = [clang, *_C, *_LINK, "-Iinclude", *project.options, "-o", module, project.source]
    lifting = list(_lifted(project, work, module))
    yield "clang compiles", lambda: run(words, folder=project.folder)
    yield from lifting


def _wat(project: Project, work: Path) -> Iterator[Step]:
    """A core module as text, by hand: small, and needs no compiler."""
    yield from _lifted(project, work, project.source_file)


def _lifted(project: Project, work: Path, module: Path) -> Iterator[Step]:
    """A core module becomes a component of the world."""
    tools = find("wasm-tools")
    embedded, whole = work / "embedded.wasm", work / "whole.wasm"
    embed: list[str | Path] = [
        tools,
        "component",
        "embed",
        project.folder / project.wit,
        "-w",
        project.world,
        module,
        "-o",
        embedded,
    ]
    yield "its world is embedded", lambda: run(embed, folder=work)
    yield "the module becomes a component", lambda: run([tools, "component", "new", embedded, "-o", whole], folder=work)
    yield "names are stripped", lambda: run([tools, "strip", "--all", whole, "-o", work / "component.wasm"], folder=work)


LANGUAGES = {
    "python": Language("app.py", _python),
    "javascript": Language("app.js", _javascript),
    "c": Language("component.c", _c),
    "wat": Language("component.wat", _wat),
}
