"""What lies in the repository: no registry's name, nothing large, and the source of every binary."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Spelled in pieces: this file is searched too.
REGISTRIES = tuple(".".join(name) for name in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com")])
LARGEST = 512 << 10
TOP = {
    *("sandbox", "components", "policies", "tests", "docs", "benchmarks", ".ci"),
    *(".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml"),
    *("requirements.txt", "requirements-dev.txt", "requirements-node.txt"),
}


def tracked() -> list[Path]:
    """Every file that git keeps."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()


def test_no_file_names_a_package_registry() -> None:
    """A registry is the machine's setting, never the project's: behind a mirror a pinned host cannot be reached."""
    naming = {str(path.relative_to(ROOT)) for path in FILES for host in REGISTRIES if host.encode() in path.read_bytes()}
    assert not naming


def test_no_file_is_large() -> None:
    assert not {str(path.relative_to(ROOT)): path.stat().st_size for path in FILES if path.stat().st_size > LARGEST}


def test_the_top_level_is_the_agreed_one() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} <= TOP


@pytest.mark.parametrize("wasm", [path for path in FILES if path.suffix == ".wasm"], ids=lambda path: path.stem)
def test_every_component_lies_beside_its_source(wasm: Path) -> None:
    sources = {path.suffix for path in wasm.parent.iterdir()}
    assert sources & {".c", ".wat", ".rs", ".py"}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-node.txt"])
def test_every_dependency_is_pinned_with_its_hashes(name: str) -> None:
    pins = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    assert pins
    assert not [pin for pin in pins if pin and not pin.startswith("#") and ("==" not in pin or "--hash=sha256:" not in pin)]


def test_the_pins_hold_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = (ROOT / "requirements.txt").read_text().lower().replace("_", "-")
    wanted = [dependency.split(">")[0].split("=")[0].lower() for dependency in project["dependencies"]]
    assert not [name for name in wanted if f"{name}==" not in pinned]


def test_the_changelog_knows_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"## {project['version']}\n" in (ROOT / "CHANGELOG.md").read_text()
