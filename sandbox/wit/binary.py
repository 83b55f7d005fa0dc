"""Is this a component at all? Answered from its bytes, before any compiler sees them.

Decides size, format and layer, and finds the two custom sections that concern the host; whether the component is valid is the
compiler's to say. Only the outermost sections are walked: what is inside them is skipped by its length.

Rules: nothing is believed: every length is checked against what is there, the number of sections is bounded, a file is read no
further than the limit. Source: component-model, design/mvp/Binary.md.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import ComponentError
from sandbox.wit.types import Digest

DEFAULT_LIMIT = 64 * 2**20
"""Bytes of a component that are accepted."""

MAX_SECTIONS = 100_000
MAX_DOCS = 2**20
MAX_POLICY = 256 * 2**10

PACKAGE_DOCS = "package-docs"
POLICY = "sandbox-policy"

MAGIC = b"\0asm"
COMPONENT = b"\0asm\x0d\0\x01\0"
CORE = b"\0asm\x01\0\0\0"
EXPORTS = 11
LAST_SECTION = 12

_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", "unpack it first: `gunzip FILE`"),
    (b"PK\x03\x04", "a zip archive", "unpack it first and give the .wasm file in it"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it first: `zstd -d FILE`"),
    (b"\x7fELF", "an ELF file", "give the component itself; native programs and compiled components are never loaded"),
    (b"MZ", "a Windows program", "give the component itself; native programs are never loaded"),
    (b"\xcf\xfa\xed\xfe", "a macOS program", "give the component itself; native programs are never loaded"),
    (b"#!", "a script", "build a component of it, `componentize-py` does so for Python"),
)
_TEXT = "make a binary of it: `wasm-tools parse FILE.wat -o FILE.wasm`"
_CORE = (
    "make a component of it: `wasm-tools component embed WIT CORE.wasm -o E.wasm && wasm-tools component new E.wasm -o OUT.wasm`"
    " (with `--adapt wasi_snapshot_preview1=ADAPTER.wasm` if it uses WASI preview 1)"
)


@dataclass(frozen=True, slots=True)
class Binary:
    """A component's bytes after the check, their digest, and the custom sections that concern the host (or None)."""

    data: bytes = field(repr=False)
    digest: Digest
    package_docs: bytes | None = field(default=None, repr=False)
    policy: bytes | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the component."""
        return len(self.data)


def precheck(source: bytes | int, *, limit: int = DEFAULT_LIMIT) -> Binary:
    """Check a component's bytes, or read them from a file descriptor (from its start). Raises `ComponentError`."""
    data = _read(source, limit) if isinstance(source, int) else source
    if len(data) > limit:
        raise _too_large(limit)
    _check_format(data)
    sections = _custom_sections(data)
    return Binary(data, Digest(hashlib.sha256(data).hexdigest()), sections.get(PACKAGE_DOCS), sections.get(POLICY))


def precheck_file(path: Path, *, limit: int = DEFAULT_LIMIT) -> Binary:
    """Check a component by its path. A FIFO or device is refused without being read. Raises `ComponentError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        said = (error.strerror or "unknown error").lower()
        raise ComponentError(f"`{path}` cannot be read: {said}", help="give the path of a .wasm file") from None
    try:
        return precheck(descriptor, limit=limit)
    finally:
        os.close(descriptor)


def _read(descriptor: int, limit: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ComponentError("the component is no regular file", help="give the path of a .wasm file")
    if status.st_size > limit:
        raise _too_large(limit)
    pieces, at = [], 0
    while at <= limit and (piece := os.pread(descriptor, min(2**20, limit + 1 - at), at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def _too_large(limit: int) -> ComponentError:
    return ComponentError(
        f"the component is larger than {limit} bytes", help="strip it (`wasm-tools strip IN.wasm -o OUT.wasm`) or raise the limit"
    )


def _check_format(data: bytes) -> None:
    if data.startswith(COMPONENT):
        return
    if not data:
        raise ComponentError("the file is empty", help="build the component again")
    if data.startswith(CORE):
        raise ComponentError("this is a core module, not a component", help=_CORE)
    if len(data) < len(COMPONENT) and MAGIC.startswith(data[:4]):
        raise ComponentError("the file ends within its header", help="it is truncated: fetch or build it again")
    if data.startswith(MAGIC):
        raise ComponentError(
            f"this is WebAssembly of another version ({data[4:8].hex()})",
            help="build it with a toolchain of the component model, WASI 0.2",
        )
    raise _other(data)


def _other(data: bytes) -> ComponentError:
    for magic, what, advice in _OTHERS:
        if data.startswith(magic):
            return ComponentError(f"this is {what}, not a component", help=advice)
    start = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"(", b";;")):
        return ComponentError("this is WebAssembly text, not a component", help=_TEXT)
    if start.startswith((b"package ", b"world ", b"interface ", b"///")):
        return ComponentError("this is WIT, the description of a component", help="build a component for it")
    return ComponentError("this is no WebAssembly", help="give a WebAssembly component, WASI 0.2")


def _custom_sections(data: bytes) -> dict[str, bytes]:
    """Walk all outermost sections; gives those custom ones that the host reads."""
    found: dict[str, bytes] = {}
    exports = False
    for kind, start, end in _sections(data):
        exports = exports or kind == EXPORTS
        if kind == 0:
            name, content = _custom(data, start, end)
            if name in (PACKAGE_DOCS, POLICY):
                _keep(found, name, data[content:end])
    if not exports:
        raise ComponentError("the component exports nothing", help="it is truncated, or its world exports no function")
    return found


def _keep(found: dict[str, bytes], name: str, content: bytes) -> None:
    if name in found:
        raise ComponentError(f"the component has two `{name}` sections", help="`wasm-tools strip --delete NAME` removes one")
    if len(content) > (MAX_DOCS if name == PACKAGE_DOCS else MAX_POLICY):
        raise ComponentError(f"the `{name}` section is too large, {len(content)} bytes")
    found[name] = content


def _sections(data: bytes) -> Iterator[tuple[int, int, int]]:
    at = len(COMPONENT)
    for _number in range(MAX_SECTIONS):
        if at == len(data):
            return
        kind = data[at]
        size, start = _leb(data, at + 1, len(data))
        if kind > LAST_SECTION:
            raise _damaged(at, f"there is no section of kind {kind}")
        if size > len(data) - start:
            raise _damaged(at, f"a section says it has {size} bytes, {len(data) - start} are left")
        yield kind, start, start + size
        at = start + size
    raise ComponentError(f"the component has more than {MAX_SECTIONS} sections")


def _custom(data: bytes, start: int, end: int) -> tuple[str, int]:
    size, at = _leb(data, start, end)
    if size > end - at:
        raise _damaged(start, "a custom section's name is longer than the section")
    # A name that is no UTF-8 is none of ours; the compiler refuses it.
    return data[at : at + min(size, 64)].decode("utf-8", "replace") if size <= 64 else "", at + size


def _leb(data: bytes, at: int, end: int) -> tuple[int, int]:
    """An unsigned LEB128 number of 32 bits, and where it ends."""
    value = 0
    for index in range(5):
        if at + index >= end:
            raise _damaged(at, "it ends within a length")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            if value >= 2**32:
                break
            return value, at + index + 1
    raise _damaged(at, "a length has more than 32 bits")


def _damaged(at: int, what: str) -> ComponentError:
    return ComponentError(
        f"the component is damaged at byte {at}: {what}", help="it is truncated or corrupt: fetch or build it again"
    )
