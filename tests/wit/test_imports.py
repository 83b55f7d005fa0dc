"""WASM-08: a component that wants what the host does not implement is refused, with all of it named."""

from __future__ import annotations

import pytest

from sandbox.errors import ComponentError
from sandbox.wit.imports import WASI_02, check_imports, implemented
from sandbox.wit.types import World


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("wasi:nn/inference@0.2.0-rc", "compose it"),
        ("acme:x/y", "compose it"),
        ("wasi:cli/environment@0.3.0", "build it for WASI 0.2"),
        ("wasi:clocks/system-clock@0.3.0-rc-2025-09-16", "build it for WASI 0.2"),
        ("wasi:cli/environment@0.2.0-rc-2023-12-05", "remove them"),
        ("wasi:cli/environment@0.1.0", "remove them"),
        ("wasi:cli/environment@1.0.0", "remove them"),
        ("wasi:cli/environment", "remove them"),
        ("wasi:cli/environment@0.2.00", "remove them"),
        ("wasi:cli/environment@0.2.0@0.2.0", "remove them"),
        ("wasi:cli/run@0.2.0", "remove them"),
        ("wasi:http/incoming-handler@0.2.0", "remove them"),
        ("wasi:keyvalue/atomics@0.2.0-draft", "remove them"),
        ("dispatch", "compose it"),
        ("wasi_snapshot_preview1", "--adapt"),
        ("WASI:cli/environment@0.2.0", "remove them"),
        ("wasi:cli/environment@0.2.0\n", "remove them"),
    ],
)
def test_an_import_that_is_not_implemented_is_refused(name: str, advice: str) -> None:
    with pytest.raises(ComponentError) as refused:
        check_imports(World(imports=("wasi:io/poll@0.2.0", name)))
    assert "poll" not in refused.value.message
    assert advice in (refused.value.help or "")


def test_all_of_them_are_named_at_once() -> None:
    with pytest.raises(ComponentError, match=r"`acme:a/b`, `acme:c/d`"):
        check_imports(World(imports=("acme:a/b", "acme:c/d")))


def test_the_refusal_lists_what_there_is() -> None:
    with pytest.raises(ComponentError) as refused:
        check_imports(World(imports=("acme:a/b",)))
    for name in (*WASI_02, "wasi:config/store", "wasi:logging/logging"):
        assert name in (refused.value.help or "")


def test_all_of_wasi_0_2_is_implemented_in_every_patch_version() -> None:
    for package, interfaces in WASI_02.items():
        for interface in interfaces:
            for patch in (0, 6, 12, 99):
                assert implemented(f"{package}/{interface}@0.2.{patch}")


def test_the_hosts_own_interfaces_are_implemented_in_their_drafts() -> None:
    assert implemented("wasi:config/store@0.2.0-draft")
    assert implemented("wasi:logging/logging@0.1.0-draft")
    assert implemented("wasi:logging/logging")
    assert not implemented("wasi:config/runtime@0.2.0-draft")
