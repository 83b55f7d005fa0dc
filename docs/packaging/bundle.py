"""Make what a release has: the bundle for clients that install one file (`.mcpb`), and the registry's `server.json` for it.

The bundle holds the program and its exact dependencies by name and version; the client's `uv` fetches them, since some are built
for a platform. It is the same bytes for the same sources. `server.json` names the bundle by its digest, so it is made here too.

    python docs/packaging/bundle.py [--repository OWNER/NAME] [--to FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import tomlkit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file: a zip archive has no earlier one."""


def pins() -> list[str]:
    """`name==version`, with the condition if there is one, for every dependency."""
    lines = (ROOT / "requirements.txt").read_text().replace("\\\n", " ").splitlines()
    return [re.split(r"\s+--hash", line)[0].strip() for line in lines if "==" in line]


def project() -> str:
    """The bundle's pyproject.toml: this one, with every dependency pinned."""
    document = tomlkit.parse((ROOT / "pyproject.toml").read_text())
    table = document["project"]
    table["dependencies"] = tomlkit.array().multiline(True)
    table["dependencies"].extend(pins())
    return tomlkit.dumps(document)


def sources() -> Iterator[tuple[str, bytes]]:
    """The files of the bundle; what is a link here is a file there."""
    yield "manifest.json", (HERE / "manifest.json").read_bytes()
    yield "pyproject.toml", project().encode()
    for name in ("LICENSE", "README.md"):
        yield name, (ROOT / name).read_bytes()
    for path in sorted(_below(ROOT / "sandbox")):
        yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            # Not `rglob`, which does not go through links.
            yield from (() if path.name == "__pycache__" else _below(path))
        elif path.suffix not in {".pyc"}:
            yield path


def bundle(file: Path) -> str:
    """Write the bundle; its digest."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sources():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def registry(repository: str, version: str, digest: str) -> str:
    """The `server.json` for a bundle of that digest, released in that repository."""
    owner, _, name = repository.partition("/")
    text = (HERE / "server.json").read_text()
    for word, value in (("OWNER", owner), ("NAME", name), ("VERSION", version), ("SHA256", digest)):
        text = text.replace(word, value)
    return text


def main() -> None:
    """Make both, and say where they lie."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", default="example/sandbox", metavar="OWNER/NAME", help="where releases lie on GitHub")
    parser.add_argument("--to", type=Path, default=ROOT / ".cache" / "packaging", metavar="FOLDER")
    arguments = parser.parse_args()
    if not re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", arguments.repository):
        parser.error(f"`{arguments.repository}` is no OWNER/NAME")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    arguments.to.mkdir(parents=True, exist_ok=True)
    file = arguments.to / f"sandbox-{version}.mcpb"
    digest = bundle(file)
    described = registry(arguments.repository, version, digest)
    json.loads(described)
    (arguments.to / "server.json").write_text(described)
    print(f"{file}: {file.stat().st_size} bytes, sha256:{digest}\n{arguments.to / 'server.json'}")


if __name__ == "__main__":
    main()
