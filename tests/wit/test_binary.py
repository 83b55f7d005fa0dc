"""WASM-01, WASM-03: what is no component is refused from its bytes, with what to do instead."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest
from wasmtime import Engine, WasmtimeError, wat2wasm
from wasmtime.component import Component

from sandbox.cli.sections import custom_section, leb128
from sandbox.errors import Code, ComponentError
from sandbox.host.engine import make_engine
from sandbox.wit.binary import COMPONENT, MAX_DOCS, MAX_POLICY, MAX_SECTIONS, precheck, precheck_file
from sandbox.wit.types import ListOf, Primitive
from tests.host.values.guests import component

GOOD = bytes(wat2wasm(component([("one", Primitive("u8")), ("two", ListOf(Primitive("string")))])))
CORE = bytes(wat2wasm("(module)"))


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x.wasm", GOOD)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "says", "advice"),
    [
        (b"", "the file is empty", "build the component again"),
        (GOOD[:3], "ends within its header", "truncated"),
        (GOOD[:7], "ends within its header", "truncated"),
        (CORE, "a core module, not a component", "wasm-tools component new"),
        (b"\0asm\x0e\0\x01\0" + GOOD[8:], "of another version (0e000100)", "WASI 0.2"),
        (b"(component)", "WebAssembly text", "wasm-tools parse"),
        (b"\xef\xbb\xbf  (component)", "WebAssembly text", "wasm-tools parse"),
        (b";; comment\n(component)", "WebAssembly text", "wasm-tools parse"),
        (b"package acme:demo;\nworld w {}", "this is WIT", "build a component"),
        (b"\xef\xbb\xbf" + GOOD, "no WebAssembly", "WASI 0.2"),
        (gzip.compress(GOOD), "gzip", "gunzip"),
        (zipped(), "a zip archive", "unpack"),
        (b"\x28\xb5\x2f\xfd" + GOOD, "zstd", "zstd -d"),
        (b"\x7fELF" + bytes(60), "an ELF file", "never loaded"),
        (b"MZ" + bytes(60), "a Windows program", "never loaded"),
        (b"#!/bin/sh\n", "a script", "componentize-py"),
        (b"hello", "no WebAssembly", "WASI 0.2"),
        (bytes(100), "no WebAssembly", "WASI 0.2"),
        (COMPONENT, "exports nothing", "truncated"),
        (COMPONENT + b"\x0d\0", "no section of kind 13", "corrupt"),
        (COMPONENT + b"\x01", "ends within a length", "truncated"),
        (COMPONENT + b"\x01\x80\x80\x80\x80\x10", "more than 32 bits", "corrupt"),
        (COMPONENT + b"\x01\xff\xff\xff\xff\x0f", "says it has 4294967295 bytes, 0 are left", "truncated"),
        (COMPONENT + b"\x00\x01\x05", "name is longer than the section", "corrupt"),
        (COMPONENT + b"\x01\0" * (MAX_SECTIONS + 1), "more than 100000 sections", None),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_what_is_no_component_is_refused_with_what_to_do(data: bytes, says: str, advice: str | None) -> None:
    with pytest.raises(ComponentError) as refused:
        precheck(data)
    assert says in refused.value.message
    assert advice is None or advice in (refused.value.help or "")
    assert refused.value.code is Code.COMPONENT_REFUSED


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_engine()


def test_a_truncated_component_is_refused_at_every_hundredth(engine: Engine) -> None:
    """By the walk wherever a section is cut; what is cut between two sections is for the compiler to judge."""
    walked = 0
    for percent in range(100):
        data = GOOD[: len(GOOD) * percent // 100]
        try:
            precheck(data)
        except ComponentError:
            walked += 1
            continue
        # Only a cut between two sections, after an export, leaves a component; it is one, with fewer exports.
        try:
            Component(engine, data)
        except WasmtimeError:
            continue
        boundaries = {start for start in range(len(data), len(GOOD)) if precheck_ends(GOOD, start)}
        assert len(data) in boundaries
    assert walked >= 97


def precheck_ends(data: bytes, at: int) -> bool:
    """Whether a section ends at an offset."""
    offset = 8
    while offset < at:
        size, shift, index = 0, 0, offset + 1
        while True:
            size |= (data[index] & 0x7F) << shift
            shift += 7
            index += 1
            if not data[index - 1] & 0x80:
                break
        offset = index + size
    return offset == at


def test_a_component_is_its_digest_and_its_sections() -> None:
    docs, policy = b"\x01{}", b"version: '2.0'"
    data = (
        GOOD + custom_section("package-docs", docs) + custom_section("sandbox-policy", policy) + custom_section("producers", b"x")
    )
    found = precheck(data)
    assert (found.package_docs, found.policy, found.size) == (docs, policy, len(data))
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert precheck(GOOD).policy is None


def test_two_policies_in_one_component_are_refused() -> None:
    with pytest.raises(ComponentError, match="two `sandbox-policy` sections"):
        precheck(GOOD + custom_section("sandbox-policy", b"a") + custom_section("sandbox-policy", b"b"))


@pytest.mark.parametrize(("name", "limit"), [("package-docs", MAX_DOCS), ("sandbox-policy", MAX_POLICY)])
def test_a_section_of_the_hosts_is_bounded(name: str, limit: int) -> None:
    precheck(GOOD + custom_section(name, bytes(limit)))
    with pytest.raises(ComponentError, match="too large"):
        precheck(GOOD + custom_section(name, bytes(limit + 1)))


def test_a_section_inside_a_nested_component_is_not_the_components() -> None:
    inner = COMPONENT + custom_section("sandbox-policy", b"allow everything")
    assert precheck(GOOD + b"\x04" + leb128(len(inner)) + inner).policy is None


def test_a_component_above_the_limit_is_refused() -> None:
    with pytest.raises(ComponentError, match="larger than 100 bytes"):
        precheck(GOOD, limit=100)


def test_a_sparse_file_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.wasm"
    path.write_bytes(GOOD)
    os.truncate(path, 2**31)
    with pytest.raises(ComponentError, match="larger than"):
        precheck_file(path)


def test_a_huge_custom_section_is_refused_by_size(tmp_path: Path) -> None:
    path = tmp_path / "huge.wasm"
    path.write_bytes(GOOD + custom_section("x", bytes(200 * 2**20)))
    with pytest.raises(ComponentError, match="larger than 67108864 bytes"):
        precheck_file(path)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """The size is checked before and while reading: what `fstat` said is not believed."""
    path = tmp_path / "grows.wasm"
    path.write_bytes(GOOD)
    real = os.fstat

    def small(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        path.write_bytes(GOOD + custom_section("x", bytes(10_000)))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fstat", small)
        with pytest.raises(ComponentError, match="larger than"):
            precheck_file(path, limit=len(GOOD) + 100)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/"])
def test_a_device_or_directory_is_refused_unread(path: str) -> None:
    with pytest.raises(ComponentError, match="no regular file"):
        precheck_file(Path(path))


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ComponentError, match="no regular file"):
        precheck_file(tmp_path / "fifo")


def test_a_missing_file_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="cannot be read: no such file"):
        precheck_file(tmp_path / "nowhere.wasm")


def test_a_descriptor_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "good.wasm"
    path.write_bytes(GOOD)
    with path.open("rb") as file:
        file.seek(100)
        assert precheck(file.fileno()).data == GOOD
