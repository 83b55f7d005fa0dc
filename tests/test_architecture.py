"""The stages import in one direction; wasm stays in the worker's modules, MCP in the server's."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# From left to right; those of one group know each other. The empty name is the package's own file.
STAGES = (
    ("errors",),
    ("telemetry",),
    ("redaction",),
    ("wit",),
    ("policy",),
    ("template",),
    ("config",),
    ("admission",),
    ("host",),
    ("audit",),
    ("state",),
    ("in_force",),
    ("components", "control", "dispatch", "figures", "receipt", "recording", "result", "tracing"),
    ("changes",),
    ("registry",),
    ("", "api", "guarding", "remote", "workshop"),
    ("server",),
    ("cli", "__main__"),
)
RANK = {name: rank for rank, group in enumerate(STAGES) for name in group}
WASM = ("engine", "zygote", "worker", "compiler", "gates")
CORE_WITHOUT_IO = ("errors", "redaction", "wit", "policy", "template")


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    return {module_name(path): ast.parse(path.read_text()) for path in sorted((ROOT / "sandbox").rglob("*.py"))}


MODULES = modules()


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(tree: ast.AST) -> set[str]:
    """What a module imports when it runs, by dotted name; functions' own imports count too."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if is_for_types_only(node):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            names |= imported(node)
    return names


def stage(name: str) -> str:
    """`sandbox.host.worker` is of the stage `host`."""
    return [*name.split("."), ""][1]


def own_imports(name: str) -> set[str]:
    """The modules of this package that `name` imports, packages of a `from` import included."""
    return {each for each in imported(MODULES[name]) if each in MODULES and each != "sandbox"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_from_stages_to_its_left(name: str) -> None:
    wrong = {each for each in own_imports(name) if RANK[stage(each)] > RANK[stage(name)]}
    assert not wrong, f"{name} imports from a later stage"


def test_every_module_belongs_to_a_stage() -> None:
    assert {stage(name) for name in MODULES} <= set(RANK)


def users(library: str) -> set[str]:
    """The modules that import `library`."""
    return {name for name, tree in MODULES.items() if any(each.split(".")[0] == library for each in imported(tree))}


def test_only_what_runs_in_a_worker_or_compiler_imports_wasmtime() -> None:
    allowed = tuple(f"sandbox.host.{each}" for each in WASM)
    wrong = {name for name in users("wasmtime") if not any(name == each or name.startswith(f"{each}.") for each in allowed)}
    assert users("wasmtime"), "the rule below would hold of an empty set"
    assert not wrong


def test_only_the_server_knows_mcp() -> None:
    known = {name for name in users("mcp") | users("mcp_types") if stage(name) != "server"}
    assert users("mcp") | users("mcp_types"), "the rule would hold of an empty set"
    assert not known


@pytest.mark.parametrize("library", ["socket", "subprocess", "asyncio", "sqlite3", "time", "random"])
def test_what_decides_opens_nothing_and_reads_no_clock(library: str) -> None:
    """`policy` reads files in one module, `file`; the rest of the core is values in, values out."""
    assert not {name for name in users(library) if stage(name) in CORE_WITHOUT_IO}


@pytest.mark.parametrize("entry", ["sandbox", "sandbox.server", "sandbox.server.serve", "sandbox.cli.main", "sandbox.api"])
def test_the_server_process_never_loads_wasmtime(entry: str) -> None:
    """Not by any chain of imports: a guest, an argument or one mistake could abort the process that loads it."""
    program = f"import sys, {entry}; print([m for m in sys.modules if m.split('.')[0] == 'wasmtime'])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize("entry", ["sandbox", "sandbox.api", "sandbox.cli.main"])
def test_only_serving_loads_mcp(entry: str) -> None:
    """The SDK takes a second to import: a short command must not pay for it."""
    program = f"import sys, {entry}; print([m for m in sys.modules if m.split('.')[0] == 'mcp'])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == "[]"


def test_no_file_has_grown_beyond_reading() -> None:
    long = {str(path): n for path in (ROOT / "sandbox").rglob("*.py") if (n := len(path.read_text().splitlines())) > 450}
    assert not long
