"""What the package promises, and what it costs to import it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sandbox as package
from sandbox import Sandbox, SandboxError


@pytest.mark.parametrize("nameserver", ["127.0.0.1", "host:", ":x", "h:0", "h:65536", ""])
def test_a_nameserver_that_is_none_is_refused(nameserver: str) -> None:
    with pytest.raises(SandboxError, match="no nameserver"):
        Sandbox(nameserver=nameserver)


def modules_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sorted(sys.modules))"
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    return {name.partition(".")[0] for name in said.split()}


def test_importing_the_package_is_light() -> None:
    assert modules_after("import sandbox").isdisjoint({"wasmtime", "mcp", "pydantic", "asyncio", "sqlite3"})
    assert modules_after("from sandbox import Sandbox").isdisjoint({"wasmtime", "mcp"})


def test_every_promised_name_is_there() -> None:
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError):
        package.no_such_name  # noqa: B018 - the access is the test
