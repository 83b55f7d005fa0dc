"""What a release has: the bundle starts a server, the registry's entry names it, the container's steps install what is here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.components import files_component
from tests.support.serving import HANDSHAKE, request

ROOT = Path(__file__).resolve().parents[1]
PACKAGING = ROOT / "docs" / "packaging"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PACKAGING / "bundle.py"), "--to", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaging")
    done = make(folder, "--repository", "somebody/their.box")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def unpacked(made: Path) -> Path:
    with zipfile.ZipFile(made / f"sandbox-{VERSION}.mcpb") as archive:
        archive.extractall(made / "unpacked")
    return made / "unpacked"


def manifest() -> Any:
    return json.loads((PACKAGING / "manifest.json").read_text())


@pytest.mark.parametrize("repository", ["nobody", "a/b/c", "a b/c", ""])
def test_a_repository_that_is_none_makes_nothing(tmp_path: Path, repository: str) -> None:
    assert make(tmp_path, "--repository", repository).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_and_the_registry_know_this_version() -> None:
    server = json.loads((PACKAGING / "server.json").read_text())
    assert manifest()["version"] == server["version"] == server["packages"][0]["version"] == VERSION


def test_the_registrys_entry_is_as_its_schema_wants(made: Path) -> None:
    """The rules of the schema 2025-12-11 that concern what is in it; `mcp-publisher` checks the rest."""
    server = json.loads((made / "server.json").read_text())
    assert server["$schema"].endswith("/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", server["name"])
    assert server["name"] == "io.github.somebody/sandbox"
    assert 0 < len(server["description"]) <= 100
    assert server["repository"] == {"url": "https://github.com/somebody/their.box", "source": "github"}
    (package,) = server["packages"]
    file = made / f"sandbox-{VERSION}.mcpb"
    assert package["fileSha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert package["identifier"] == f"https://github.com/somebody/their.box/releases/download/v{VERSION}/{file.name}"
    assert package["transport"] == {"type": "stdio"}


def test_the_bundle_is_the_same_for_the_same_sources(made: Path, tmp_path: Path) -> None:
    make(tmp_path)
    name = f"sandbox-{VERSION}.mcpb"
    assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_the_bundle_pins_every_dependency_and_holds_all_that_is_read(unpacked: Path) -> None:
    dependencies = tomllib.loads((unpacked / "pyproject.toml").read_text())["project"]["dependencies"]
    assert len(dependencies) > 20
    assert all(re.match(r"[a-z0-9.-]+==[0-9]", each) for each in dependencies)
    for name in (
        "policies/deny-all.yaml",
        "templates/c/component.c.in",
        "wasi/wasi.h",
        "wasi/wit/wasi-io/package.wit",
        "py.typed",
    ):
        assert (unpacked / "sandbox" / name).is_file(), name
    assert not [path for path in unpacked.rglob("*") if path.suffix == ".pyc"]


def test_a_client_starts_a_server_from_the_bundle(unpacked: Path, tmp_path: Path) -> None:
    """The words behind the client's `uv run --directory … sandbox`, in an interpreter that has the dependencies."""
    words = manifest()["server"]["mcp_config"]["args"]
    assert words[:4] == ["run", "--directory", "${__dirname}", "sandbox"]
    given = [str(files_component()) if word == "${user_config.components}" else word for word in words[4:]]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "sandbox", *given],
        input=json.dumps(request(1, "initialize", HANDSHAKE)) + "\n",
        env={
            "PYTHONPATH": str(unpacked),
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
            "SANDBOX_HOME": str(tmp_path / "home"),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"], done.stderr


def steps() -> list[tuple[str, str]]:
    """The Containerfile's instructions, each with what follows it."""
    lines = (PACKAGING / "Containerfile").read_text().splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def test_the_container_is_nobody_privileged_and_asks_for_a_token() -> None:
    found = steps()
    kinds = [kind for kind, _ in found]
    assert kinds[0] == "FROM"
    assert set(kinds) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert dict(found)["USER"] == "sandbox"
    assert kinds.index("USER") > max(index for index, (_, what) in enumerate(found) if "pip install" in what)
    installs = [what for kind, what in found if kind == "RUN" and "pip install" in what]
    assert "--require-hashes -r requirements.txt" in installs[0]
    assert "--no-deps" in installs[1]
    for kind, what in found:
        if kind == "COPY":
            assert all((ROOT / source).exists() for source in what.split()[:-1]), what


def test_what_the_container_starts_refuses_to_listen_without_a_token(tmp_path: Path) -> None:
    (entry,), words = (json.loads(dict(steps())[kind]) for kind in ("ENTRYPOINT", "CMD"))
    program = Path(sys.executable).with_name(entry)
    environment = {"SANDBOX_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "token" in done.stderr


@pytest.mark.soak
def test_the_containers_steps_install_a_program_that_needs_nothing_of_this_folder(tmp_path: Path) -> None:
    """Every RUN, COPY and the start's words but the user's, without an engine: into an environment in place of an image."""
    image, environment = tmp_path / "image", tmp_path / "venv"
    image.mkdir()
    venv.create(environment, with_pip=True)
    for kind, what in steps():
        if kind == "COPY":
            *sources, target = what.split()
            for source in sources:
                place = image / target / Path(source).name if target.endswith("/") else image / target
                place.parent.mkdir(parents=True, exist_ok=True)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, symlinks=True)
                else:
                    shutil.copy(ROOT / source, place)
        elif kind == "RUN" and what.startswith("pip "):
            path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
            subprocess.run(["sh", "-c", what], cwd=image, env={**os.environ, "PATH": path}, check=True, timeout=600)
    shutil.rmtree(image)
    environ = {"HOME": str(tmp_path), "SANDBOX_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    listed = subprocess.run(
        [environment / "bin" / "sandbox", "tool", "list", str(files_component()), "--policy", "deny-all", "--json"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)
    started = [environment / "bin" / "sandbox", "init", "hello", "--language", "c", "--json"]
    assert subprocess.run(started, cwd=tmp_path, env=environ, capture_output=True, timeout=60, check=False).returncode == 0
    assert (tmp_path / "hello" / "include" / "wasi.h").is_file()


@pytest.mark.soak
def test_anthropics_own_tool_takes_the_bundle(unpacked: Path, tmp_path: Path) -> None:
    subprocess.run(["npm", "install", "--silent", "@anthropic-ai/mcpb@2.1.2"], cwd=tmp_path, check=True, timeout=600)
    tool = tmp_path / "node_modules" / ".bin" / "mcpb"
    subprocess.run([tool, "validate", str(PACKAGING / "manifest.json")], check=True, timeout=60)
    packed = subprocess.run(
        [tool, "pack", str(unpacked), str(tmp_path / "out.mcpb")], check=False, capture_output=True, timeout=60
    )
    assert packed.returncode == 0, packed.stdout
    assert (tmp_path / "out.mcpb").is_file()
