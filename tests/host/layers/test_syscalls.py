"""The system call filter as data, for every machine that has one: most of them cannot be run here.

Its numbers are held against the kernel's own table, and its program is run by a small machine of the test's, which does what the
kernel does with it (Linux, Documentation/networking/filter.rst).
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from sandbox.host.layers.seccomp import Op, program
from sandbox.host.layers.syscalls import ALLOWED, AUDIT_ARCHITECTURE, NUMBERS

MACHINES = sorted(NUMBERS)
ALLOW, KILL = "allow", "kill"
EM = {"x86_64": 62, "aarch64": 183}
"""ELF's numbers of machines (include/uapi/linux/elf-em.h)."""
AUDIT_64BIT, AUDIT_LE = 0x80000000, 0x40000000
RLIMIT_FSIZE, RLIMIT_NOFILE = 1, 7
POINTER = 0x7FFF_0000_1000
HIGH_POINTER = 0x7FFF_0000_0000
"""A pointer whose lower half is 0."""


def kernel(machine: str) -> dict[str, int]:
    """The kernel's own table."""
    text = (Path(__file__).parent / "system_calls.txt").read_text()
    section = text.partition(f"[{machine}]\n")[2].partition("\n[")[0]
    return {name: int(number) for name, _, number in (pair.partition("=") for pair in section.split())}


def judged(machine: str, name: str, *arguments: int, arch: int | None = None, number: int | None = None) -> str:
    """What the filter answers to a call: `allow`, `kill`, or the name of an error."""
    of = kernel(machine)[name] if number is None else number
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", of, AUDIT_ARCHITECTURE[machine] if arch is None else arch, 0, *words)
    return _named(_run(program(machine), data))


def _run(ops: list[Op], data: bytes) -> int:
    """Classic BPF, as far as the filter uses it."""
    accumulator = at = 0
    while True:
        op = ops[at]
        at += 1
        match op.code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, op.value)
            case 0x54:
                accumulator &= op.value
            case 0x15:
                at += op.then if accumulator == op.value else op.otherwise
            case 0x45:
                at += op.then if accumulator & op.value else op.otherwise
            case 0x06:
                return op.value
            case _:
                raise AssertionError(f"an instruction that the kernel may not know: {op}")


def _named(answer: int) -> str:
    kinds = {0x7FFF0000: ALLOW, 0x80000000: KILL}
    return kinds.get(answer) or errno.errorcode[answer & 0xFFFF]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    table = kernel(machine)
    assert {name: table.get(name) for name in NUMBERS[machine]} == NUMBERS[machine]
    assert AUDIT_ARCHITECTURE[machine] == EM[machine] | AUDIT_64BIT | AUDIT_LE


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_without_a_number_is_one_that_the_machine_does_not_have(machine: str) -> None:
    """A name that is misspelt, or left out of one table, would be refused in silence."""
    assert {name for name in ALLOWED if name not in NUMBERS[machine]} == {name for name in ALLOWED if name not in kernel(machine)}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_that_is_not_named_is_refused(machine: str) -> None:
    """All of the kernel's table, and what it may gain."""
    by_argument = {
        "clone3",
        "clone",
        "socket",
        "socketpair",
        "mmap",
        "mprotect",
        "prlimit64",
        "tgkill",
        "prctl",
        "fcntl",
        "ioctl",
    }
    for name in kernel(machine):
        expected = ALLOW if name in ALLOWED else "EPERM"
        assert name in by_argument or judged(machine, name) == expected, name
    assert judged(machine, "", number=5_000) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("other", [0x40000003, 0x40000028, 0xC000003E, 0xC00000B7, 0])
def test_a_call_of_another_machine_ends_the_process(machine: str, other: int) -> None:
    """32-bit calls have other numbers for the same names."""
    expected = ALLOW if other == AUDIT_ARCHITECTURE[machine] else KILL
    assert judged(machine, "read", arch=other) == expected


def test_a_call_with_the_x32_bit_ends_the_process() -> None:
    assert judged("x86_64", "", number=0x40000000) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone3", (POINTER, 88), "ENOSYS"),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (17,), "EPERM"),
        ("clone", (0x10000000 | 17,), "EPERM"),
        ("socket", (2, 1), ALLOW),
        ("socket", (2, 1 | 0o2000000), ALLOW),
        ("socket", (2, 2), "EPERM"),
        ("socket", (1, 1), "EPERM"),
        ("socket", (10, 1), "EPERM"),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (1, 2), "EPERM"),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 7), "EPERM"),
        ("mprotect", (0, 4096, 1), ALLOW),
        ("mprotect", (0, 4096, 5), "EPERM"),
        ("prlimit64", (0, RLIMIT_NOFILE, 0, POINTER), ALLOW),
        ("prlimit64", (1, RLIMIT_NOFILE, 0, POINTER), ALLOW),
        ("prlimit64", (0, RLIMIT_NOFILE, POINTER), "EPERM"),
        ("prlimit64", (0, RLIMIT_NOFILE, HIGH_POINTER), "EPERM"),
        ("prlimit64", (0, RLIMIT_FSIZE, POINTER), ALLOW),
        ("prlimit64", (1, RLIMIT_FSIZE, POINTER), "EPERM"),
        ("tgkill", (os.getpid(), 1, 6), ALLOW),
        ("tgkill", (1, 1, 9), "EPERM"),
        ("prctl", (39,), ALLOW),
        ("prctl", (4, 1), "EPERM"),
        ("prctl", (22, 2), "EPERM"),
        ("fcntl", (0, 1), ALLOW),
        ("fcntl", (0, 8, 1), "EPERM"),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), "EPERM"),
    ],
)
def test_a_call_is_judged_by_its_arguments(machine: str, name: str, arguments: tuple[int, ...], expected: str) -> None:
    assert judged(machine, name, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_no_jump_leaves_the_program(machine: str) -> None:
    """The kernel would refuse to load it, and the layer would be missing on that machine alone."""
    ops = program(machine)
    assert len(ops) < 4096
    for at, op in enumerate(ops):
        assert 0 <= op.then < 256
        assert 0 <= op.otherwise < 256
        assert at + 1 + max(op.then, op.otherwise) < len(ops) or op.code == 0x06


def test_a_machine_without_a_table_has_no_filter() -> None:
    """It is reported as missing, and `strict` refuses to start."""
    with pytest.raises(OSError, match="no system call table"):
        program("riscv64")
