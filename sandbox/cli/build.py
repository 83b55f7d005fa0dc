"""`sandbox component build [DIR]`: make a component from its project, with what its WIT says of it.

No toolchain keeps WIT's comments in a component, and without them a client's model does not know what a tool is for: they are
added as the section `package-docs`, in the form of `wasm-tools component wit DIR --wasm`. With `--embed-policy` the policy that
it asks for is added too (`sandbox-policy`), for who passes on the one file.

Rules: the finished file appears at once and whole, or not at all; what was built is read as a host reads it before it is called
built.
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from argparse import Namespace
from pathlib import Path

from sandbox.cli.building import LANGUAGES, Project
from sandbox.cli.building.toolchain import find, run
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.sections import section, with_section
from sandbox.cli.terminal import Terminal
from sandbox.errors import ComponentError
from sandbox.policy.file import read_policy_file
from sandbox.policy.load import load_policy
from sandbox.registry.inspection import Inspection
from sandbox.wit.binary import PACKAGE_DOCS, POLICY
from sandbox.wit.docs import PackageDocs, parse_package_docs


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Build the project of a folder (default: this one)."""
    project = Project.read(Path(*arguments.words[:1]).absolute(), tuple(LANGUAGES))
    wasm = _documented(project, _bare(project, terminal), terminal)
    if arguments.embed_policy:
        wasm = with_section(wasm, POLICY, _policy(project))
    inspection = _finished(arguments, project, wasm, terminal)
    _show(project, inspection, terminal)
    return Exit.OK


def _bare(project: Project, terminal: Terminal) -> bytes:
    with tempfile.TemporaryDirectory(prefix="sandbox-build-") as folder:
        for text, step in LANGUAGES[project.language].steps(project, Path(folder)):
            with terminal.working(f"{project.name}: {text}", told=True):
                step()
        return Path(folder, "component.wasm").read_bytes()


def _documented(project: Project, wasm: bytes, terminal: Terminal) -> bytes:
    words = [find("wasm-tools"), "component", "wit", project.wit, "--wasm"]
    docs = section(run(words, folder=project.folder), PACKAGE_DOCS)
    if docs is None or parse_package_docs(docs) == PackageDocs({}, {}):
        terminal.note(f"warning: `{project.wit}` documents nothing: write `/// …` above a function, it is what a model reads")
        return wasm
    return with_section(wasm, PACKAGE_DOCS, docs)


def _policy(project: Project) -> bytes:
    if not project.policy_file.is_file():
        raise ComponentError(
            f"there is no `{project.policy_file}` to embed", help="write what it asks for, or leave `--embed-policy` out"
        )
    text = read_policy_file(project.policy_file)
    load_policy(text, file=project.policy)  # what nobody could load is not passed on
    return text


def _finished(arguments: Namespace, project: Project, wasm: bytes, terminal: Terminal) -> Inspection:
    """What a host makes of it; compiled on the way, so that its first start is quick. Then it is put in its place."""
    with tempfile.TemporaryDirectory(dir=project.folder, prefix=".build-") as folder:
        fresh = Path(folder, project.component.name)
        fresh.write_bytes(wasm)
        with terminal.working(f"{project.name}: the host compiles it", told=True):
            inspection = asyncio.run(_inspected(arguments, fresh))
        fresh.replace(project.component)
    return inspection


async def _inspected(arguments: Namespace, file: Path) -> Inspection:
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await sandbox.inspect(file)


def _show(project: Project, inspection: Inspection, terminal: Terminal) -> None:
    named = [str(project.component), *(["--policy", str(project.policy_file)] if project.policy_file.is_file() else [])]
    if terminal.json:
        told = {key: value for key, value in inspection.to_json().items() if key != "source"}
        terminal.data({**told, "file": str(project.component), "run": ["sandbox", "run", *named]})
        return
    terminal.line(f"{project.component}: {inspection.size} bytes, sha256:{inspection.digest}")
    rows = [(tool.name, (tool.description or "").strip().partition("\n")[0]) for tool in inspection.tools]
    terminal.table(("TOOL", "DESCRIPTION"), rows, none="no tools: the world exports no function")
    for text in (*inspection.notes, *inspection.doubts):
        terminal.note(f"warning: {text}")
    terminal.note(f"next: `sandbox run {shlex.join(named)}`")
    for tool in inspection.tools[:1]:
        arguments = "".join(f" {name}=…" for name in tool.input_schema.get("properties", {}))
        terminal.note(f"  or: `sandbox tool call {shlex.join(named)} {tool.name}{arguments}`")
