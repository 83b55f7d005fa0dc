"""Attach a WIT package's documentation to the component that was built from it, as the custom section `package-docs`.

No toolchain keeps WIT's comments in a component. The section's content is what `wasm-tools component wit DIR --wasm` makes:
a version byte, then JSON.

    python components/attach_docs.py WIT_FOLDER COMPONENT
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SECTION = b"package-docs"


def leb128(value: int) -> bytes:
    """An unsigned integer as WebAssembly writes it."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def custom_section(wasm: bytes, name: bytes) -> bytes | None:
    """The content of the first top-level custom section called `name`."""
    at = 8
    while at < len(wasm):
        kind = wasm[at]
        size, start = read_leb128(wasm, at + 1)
        if kind == 0:
            length, content = read_leb128(wasm, start)
            if wasm[content : content + length] == name:
                return wasm[content + length : start + size]
        at = start + size
    return None


def with_section(wasm: bytes, name: bytes, content: bytes) -> bytes:
    """The component with one more custom section at its end."""
    body = leb128(len(name)) + name + content
    return wasm + b"\x00" + leb128(len(body)) + body


def main(folder: str, component: str) -> None:
    """Attach the documentation of `folder` to `component`, in place."""
    described = subprocess.run(["wasm-tools", "component", "wit", folder, "--wasm"], check=True, capture_output=True).stdout
    docs = custom_section(described, SECTION)
    if docs is None:
        raise SystemExit(f"`{folder}` documents nothing")
    path = Path(component)
    path.write_bytes(with_section(path.read_bytes(), SECTION, docs))


if __name__ == "__main__":
    main(*sys.argv[1:])
