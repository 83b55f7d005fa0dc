"""Write custom sections into a component: its documentation, the policy that it asks for.

Decides where a section stands and how it is spelled in bytes. Reading is `sandbox.wit.binary`'s, and so is what may be in it.

Rules: a section of that name is replaced, never doubled; all other bytes stay. Source: WebAssembly core specification, 5.5.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.errors import ComponentError

_HEADER = 8


def section(wasm: bytes, name: str) -> bytes | None:
    """The content of the outermost custom section called `name`, or None."""
    found = [wasm[content:end] for each, _, content, end in _customs(wasm) if each == name.encode()]
    return found[-1] if found else None


def with_section(wasm: bytes, name: str, content: bytes) -> bytes:
    """The component with that section at its end."""
    without = bytearray(wasm[:_HEADER])
    at = _HEADER
    for each, start, _, end in _customs(wasm):
        if each == name.encode():
            without += wasm[at:start]
            at = end
    without += wasm[at:]
    return bytes(without) + custom_section(name, content)


def custom_section(name: str, content: bytes) -> bytes:
    """A custom section as bytes."""
    body = leb128(len(name.encode())) + name.encode() + content
    return b"\0" + leb128(len(body)) + body


def leb128(value: int) -> bytes:
    """An unsigned integer as WebAssembly writes it."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _customs(wasm: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """Each outermost custom section: its name, where it starts, where its content starts and ends."""
    at = _HEADER
    while at < len(wasm):
        size, body = _read_leb128(wasm, at + 1)
        end = body + size
        if end > len(wasm):
            raise ComponentError("the component ends within a section", help="build it again")
        if wasm[at] == 0:
            length, name = _read_leb128(wasm, body)
            yield wasm[name : name + length], at, name + length, end
        at = end


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at
    raise ComponentError("the component ends within a section", help="build it again")
