"""What an attacker does who has left the engine: native code in a worker's place, one attempt after the other.

Run as `python -m tests.host.layers.attack JSON`: takes the named layers and no other, makes each named attempt in a process of
its own, and prints how each ended: `ok`, or the name of the error (or signal) that stopped it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from sandbox.host.layers import (
    capabilities,
    descriptors,
    dumpable,
    landlock,
    libc,
    mdwe,
    namespaces,
    no_new_privs,
    pdeathsig,
    rlimits,
    seccomp,
)

NUMBERS = {
    "x86_64": {"io_uring_setup": 425, "userfaultfd": 323, "ptrace": 101, "mount": 165, "bpf": 321},
    "aarch64": {"io_uring_setup": 425, "userfaultfd": 282, "ptrace": 117, "mount": 40, "bpf": 280},
}[libc.MACHINE]
SEIZE, DETACH = 0x4206, 17
NEWUSER = 0x10000000


def _limits() -> None:
    rlimits.apply(descriptors=64, own_user_namespace=False)
    rlimits.limit_files(1 << 20)
    rlimits.limit_memory(512 << 20)
    rlimits.limit_cpu(1)


LAYERS: dict[str, Callable[[], None]] = {
    "descriptors": lambda: descriptors.apply(()),
    "namespaces": lambda: namespaces.apply(namespaces.find()),
    "capabilities": capabilities.apply,
    "no_new_privs": no_new_privs.apply,
    "pdeathsig": pdeathsig.apply,
    "dumpable": dumpable.apply,
    "rlimits": _limits,
    "landlock": landlock.apply,
    "mdwe": mdwe.apply,
    "seccomp": seccomp.apply,
}

Target = dict[str, Any]


def read_secret(target: Target) -> None:
    os.close(os.open(f"{target['folder']}/secret", os.O_RDONLY))


def list_folder(target: Target) -> None:
    os.close(os.open(target["folder"], os.O_RDONLY | os.O_DIRECTORY))


def write_file(target: Target) -> None:
    os.close(os.open(f"{target['folder']}/planted", os.O_WRONLY | os.O_CREAT, 0o600))


def overwrite_file(target: Target) -> None:
    os.close(os.open(f"{target['folder']}/secret", os.O_WRONLY))


def delete_file(target: Target) -> None:
    os.mkdir(f"{target['folder']}/made")  # noqa: PTH102 - the system call itself
    os.rmdir(f"{target['folder']}/made")  # noqa: PTH106 - the system call itself


def make_pipe(target: Target) -> None:
    os.mkfifo(f"{target['folder']}/fifo-{os.getpid()}")


def execute(_: Target) -> None:
    os.execv("/bin/sh", ["sh", "-c", "exit 0"])


def fork(_: Target) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def kill_outside(target: Target) -> None:
    os.kill(target["victim"], 0)


def signal_by_a_descriptor(target: Target) -> None:
    """The kernel tells a descriptor's owner that there is something to read, by a signal that we choose."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, target["victim"])
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"x")


def trace_outside(target: Target) -> None:
    libc.syscall(NUMBERS["ptrace"], "ptrace", SEIZE, target["victim"], 0, 0)


def read_memory_outside(target: Target) -> None:
    os.close(os.open(f"/proc/{target['victim']}/mem", os.O_RDONLY))


def connect_tcp(target: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.1", target["tcp"]))


def bind_tcp(_: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))


def ask_by_udp(target: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.1", target["udp"]))
        sock.send(b"ping")
        sock.recv(16)


def connect_unix(target: Target) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(f"{target['folder']}/stream.sock")


def connect_abstract(target: Target) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect("\0" + target["abstract"])


def send_from_a_pair(target: Target) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"x", f"{target['folder']}/datagram.sock")


def mount(target: Target) -> None:
    libc.syscall(NUMBERS["mount"], "mount", b"tmpfs", target["folder"].encode(), b"tmpfs", 0, None)


def new_user_namespace(_: Target) -> None:
    libc.unshare(NEWUSER)


def rename_the_host(_: Target) -> None:
    socket.sethostname(socket.gethostname())


def make_io_ring(_: Target) -> None:
    os.close(libc.syscall(NUMBERS["io_uring_setup"], "io_uring_setup", 4, ctypes.create_string_buffer(256)))


def make_userfault(_: Target) -> None:
    os.close(libc.syscall(NUMBERS["userfaultfd"], "userfaultfd", 0))


def map_executable(_: Target) -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def make_executable(_: Target) -> None:
    memory = mmap.mmap(-1, 4096)
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    libc.checked(_MPROTECT(address, 4096, mmap.PROT_READ | mmap.PROT_EXEC), "mprotect")


_MPROTECT = ctypes.CDLL(None, use_errno=True).mprotect


def take_memory(_: Target) -> None:
    mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def take_descriptors(_: Target) -> None:
    for _number in range(500):
        os.dup(2)


def burn(_: Target) -> None:
    while resource.getrusage(resource.RUSAGE_SELF).ru_utime < 3:
        sum(range(10_000))


def raise_limits(_: Target) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))


def raise_file_length(_: Target) -> None:
    """The soft limit may move below the hard one, and no further."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard - 1, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard + 1, hard + 1))


def write_long_file(target: Target) -> None:
    opened = os.open(f"{target['folder']}/long", os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(opened, b"x", 1 << 20)


def read_inherited(target: Target) -> None:
    os.pread(target["inherited"], 16, 0)


def read_environment(_: Target) -> None:
    if "SECRET" not in os.environ:
        raise OSError(errno.ENOENT, "not there")


def attempt(name: str, target: Target, layers: list[str]) -> str:
    """Make one attempt in a child under the layers; how it ended."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        for layer in layers:
            LAYERS[layer]()
        os.write(1, _tried(globals()[name], target).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 100).decode()
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return signal.Signals(-status).name
    # A successful exec replaces the process that would have said so.
    return said or ("ok" if status == 0 else f"exit {status}")


def _tried(action: Callable[[Target], None], target: Target) -> str:
    try:
        action(target)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except ValueError:
        # How Python says EPERM of setrlimit.
        return "ValueError"
    return "ok"


def main() -> None:
    """Serve the request of the command line."""
    request = json.loads(sys.argv[1])
    with contextlib.suppress(OSError):
        os.set_inheritable(request["target"]["inherited"], True)
    json.dump({name: attempt(name, request["target"], request["layers"]) for name in request["attempts"]}, sys.stdout)


if __name__ == "__main__":
    main()
