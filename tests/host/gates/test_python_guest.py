"""An unmodified CPython component behind the gate: what `open`, `os` and `pathlib` of a guest meet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wasmtime import Engine, WasiConfig
from wasmtime.component import Component

from sandbox.host.engine import SETTINGS
from sandbox.host.gates import Gates
from sandbox.template.template import Preopen, WasiTemplate
from tests.host.gates.conftest import READ, Guest, allow, deny

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cpython(engine: Engine) -> Component:
    """The example component, built and compiled once: both are kept in `.cache`."""
    build = [sys.executable, str(PROJECT / "components" / "python" / "build.py")]
    built = Path(subprocess.run(build, capture_output=True, check=True, text=True, timeout=300).stdout.strip())
    compiled = built.with_name(f"python.{SETTINGS.replace('/', '-')}.cwasm")
    if not compiled.exists():
        part = compiled.with_suffix(".part")
        part.write_bytes(Component(engine, built.read_bytes()).serialize())
        part.replace(compiled)
    return Component.deserialize_file(engine, str(compiled))


class Python(Guest):
    """The guest whose one export is `evaluate`."""

    def run(self, code: str) -> str:
        returned = self.evaluate(code)
        return str(getattr(returned, "payload", returned)).rstrip("\n")


@pytest.fixture
def python(gates: Gates, cpython: Component, work: Path) -> Iterator[Python]:
    """Prepared without a context, as a worker does it."""
    (work / "private").mkdir()
    (work / "private" / "s").write_text("SECRET")
    (work / "ro").mkdir()
    (work / "ro" / "kept").write_text("kept")
    rules = (allow(f"{work}/**"), deny(f"{work}/private/**"), deny(f"{work}/ro/**", ~READ))
    guest = Python(gates, cpython, WasiTemplate(preopens=(Preopen(str(work), "/data", True),), files=rules))
    guest.gates.close(guest.prepared)
    guest.prepared = gates.instantiate(cpython)
    gates.activate(guest.prepared, WasiConfig())
    yield guest
    guest.close()


def test_python_reads_writes_and_lists(python: Python, work: Path) -> None:
    assert python.run("open('/data/f.txt').read()") == "'hello'"
    assert python.run("import os; sorted(os.listdir('/data'))") == "['f.txt', 'ro', 'sub']"
    assert python.run("import os; os.listdir('/')") == "['data']"
    assert python.run("open('/data/new', 'w').write('abc')") == "3"
    assert python.run("open('/data/new', 'a').write('d')") == "1"
    assert (work / "new").read_text() == "abcd"
    assert python.run("import os; os.stat('/data/new').st_size, os.path.isdir('/data/sub')") == "(4, True)"
    assert (
        python.run("import os; os.makedirs('/data/x/y'); os.rename('/data/new', '/data/x/y/z'); os.listdir('/data/x/y')")
        == "['z']"
    )
    assert python.run("import os; os.unlink('/data/x/y/z'); os.rmdir('/data/x/y'); os.path.exists('/data/x/y')") == "False"
    assert python.denials == []


@pytest.mark.parametrize(
    ("code", "denied"),
    [
        ("open('/etc/passwd')", ("/etc/passwd", "read")),
        ("open('/data/private/s')", ("/data/private/s", "read")),
        ("open('/data/../outside/secret')", ("/outside/secret", "read")),
        ("open('/data/ro/kept', 'w')", ("/data/ro/kept", "write")),
        ("open('/data/ro/new', 'w')", ("/data/ro/new", "create")),
        ("import os; os.unlink('/data/ro/kept')", ("/data/ro/kept", "delete")),
        ("import os; os.mkdir('/data/ro/d')", ("/data/ro/d", "create")),
        ("import os; os.symlink('/etc', '/data/l')", ("/data/l", "create")),
        ("import os; os.listdir('/data/private')", ("/data/private", "read")),
    ],
)
def test_python_meets_a_permission_error(python: Python, work: Path, code: str, denied: tuple[str, str]) -> None:
    assert "PermissionError" in python.run(code)
    assert denied in python.denied()
    assert (work / "ro" / "kept").read_text() == "kept"
