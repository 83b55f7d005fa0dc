"""Each layer alone stops its share of a native attack (OS-01), and bare, the attack works: these tests can fail."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
EPERM, EACCES = "EPERM", "EACCES"

SHARES: dict[str, dict[str, str]] = {
    "descriptors": {"read_inherited": "EBADF", "read_environment": "ENOENT"},
    "rlimits": {"take_memory": "ENOMEM", "take_descriptors": "EMFILE", "burn": "SIGXCPU", "write_long_file": "EFBIG"},
    "namespaces": {"connect_tcp": "ECONNREFUSED", "ask_by_udp": "ECONNREFUSED", "connect_abstract": "ECONNREFUSED"},
    "landlock": {
        "read_secret": EACCES,
        "list_folder": EACCES,
        "write_file": EACCES,
        "overwrite_file": EACCES,
        "delete_file": EACCES,
        "make_pipe": EACCES,
        "execute": EACCES,
        "connect_tcp": EACCES,
        "bind_tcp": EACCES,
        "connect_abstract": EPERM,
        "kill_outside": EPERM,
        "trace_outside": EPERM,
        "read_memory_outside": EACCES,
    },
    "mdwe": {"map_executable": EACCES, "make_executable": EACCES},
    "seccomp": {
        "execute": EPERM,
        "fork": EPERM,
        "kill_outside": EPERM,
        "trace_outside": EPERM,
        "ask_by_udp": EPERM,
        "bind_tcp": EPERM,
        "signal_by_a_descriptor": EPERM,
        "connect_unix": EPERM,
        "connect_abstract": EPERM,
        "send_from_a_pair": EPERM,
        "new_user_namespace": EPERM,
        "make_pipe": EPERM,
        "make_io_ring": EPERM,
        "make_userfault": EPERM,
        "map_executable": EPERM,
        "make_executable": EPERM,
    },
}
"""What each layer stops with no other one beside it, and by which error."""

NEEDS_NO_NEW_PRIVS = ("landlock", "seccomp")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What lies outside: files, listeners of every kind, a process."""
    (tmp_path / "secret").write_text("CANARY")
    inherited = os.open(tmp_path / "secret", os.O_RDONLY)
    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)]
    sockets += [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)]
    tcp, udp, stream, datagram, abstract = sockets
    udp.bind(("127.0.0.1", 0))
    name = f"sandbox-test-{os.getpid()}-{id(tcp)}"
    for sock, address in [(stream, f"{tmp_path}/stream.sock"), (abstract, "\0" + name)]:
        sock.bind(address)
        sock.listen()
    datagram.bind(f"{tmp_path}/datagram.sock")
    threading.Thread(target=_echo, args=(udp,), daemon=True).start()
    yield {
        "folder": str(tmp_path),
        "victim": victim.pid,
        "tcp": tcp.getsockname()[1],
        "udp": udp.getsockname()[1],
        "abstract": name,
        "inherited": inherited,
    }
    os.close(inherited)
    victim.communicate(b"\n")
    for sock in sockets:
        sock.close()


def _echo(udp: socket.socket) -> None:
    while True:
        try:
            data, peer = udp.recvfrom(64)
            udp.sendto(data, peer)
        except OSError:
            return


def attack(target: dict[str, Any], layers: list[str], attempts: list[str], **environment: str) -> dict[str, str]:
    """The end of each attempt under these layers."""
    request = json.dumps({"target": target, "layers": layers, "attempts": attempts})
    done = subprocess.run(
        [sys.executable, "-m", "tests.host.layers.attack", request],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "SECRET": "CANARY", **environment},
        pass_fds=(target["inherited"],),
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("layer", SHARES)
def test_a_layer_alone_stops_its_share(layer: str, target: dict[str, Any]) -> None:
    """OS-01: and the same attempts succeed without it."""
    share = SHARES[layer]
    beside = ["no_new_privs"] if layer in NEEDS_NO_NEW_PRIVS else []
    assert attack(target, beside, list(share)) == dict.fromkeys(share, "ok")
    assert attack(target, [*beside, layer], list(share)) == share


def test_capabilities_are_those_of_nobody(target: dict[str, Any]) -> None:
    """In a user namespace of its own a process may mount and rename; without its capabilities it may not."""
    attempts = ["mount", "rename_the_host"]
    assert attack(target, ["namespaces"], attempts) == dict.fromkeys(attempts, "ok")
    assert attack(target, ["namespaces", "capabilities"], attempts) == dict.fromkeys(attempts, EPERM)


def test_limits_cannot_be_raised_again(target: dict[str, Any]) -> None:
    """The hard limits are those of the soft ones."""
    raised = attack(target, ["capabilities", "rlimits"], ["raise_limits", "raise_file_length"])
    assert raised == {"raise_limits": "ValueError", "raise_file_length": "ValueError"}
    assert attack(target, ["no_new_privs", "seccomp"], ["raise_limits"])["raise_limits"] in ("ValueError", EPERM)


def test_all_layers_together_stop_everything(target: dict[str, Any]) -> None:
    """In the order of a worker, nothing of the list is left."""
    layers = ["descriptors", "namespaces", "capabilities", "no_new_privs", "dumpable", "rlimits", "landlock", "mdwe", "seccomp"]
    attempts = sorted({name for share in SHARES.values() for name in share} - {"burn"})
    left = {name: end for name, end in attack(target, layers, attempts).items() if end == "ok"}
    assert left == {}


IN_ORDER = ["descriptors", "namespaces", "capabilities", "no_new_privs", "dumpable", "rlimits", "landlock", "mdwe", "seccomp"]
ONLY = {
    "descriptors": {"read_inherited", "read_environment"},
    "rlimits": {"take_memory", "take_descriptors", "burn"},
    "landlock": {"read_secret", "list_folder", "overwrite_file", "write_file", "delete_file", "read_memory_outside"},
    "seccomp": {"fork", "signal_by_a_descriptor", "connect_unix", "send_from_a_pair", "new_user_namespace", "make_userfault"},
}
"""What nothing else stops where a layer is missing; of some, another layer does on some kernels and for some users."""


@pytest.mark.parametrize("layer", [name for name in IN_ORDER if name != "no_new_privs"])
def test_without_one_layer_the_others_stop_all_but_its_own(layer: str, target: dict[str, Any]) -> None:
    """OS-01: a hole in one layer is no more than that layer's own share; most of it is another's too."""
    attempts = sorted({name for share in SHARES.values() for name in share} - {"burn"})
    left = {name for name, end in attack(target, [name for name in IN_ORDER if name != layer], attempts).items() if end == "ok"}
    assert left <= ONLY.get(layer, set())


def test_landlock_leaves_what_a_grant_names(tmp_path: Path) -> None:
    """Reading one folder, nothing beside it, and one port."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        code = f"""
import os, socket
from sandbox.host.layers import landlock, no_new_privs
from sandbox.host.layers.landlock import Right
no_new_privs.apply()
fd = os.open({str(tmp_path / "in")!r}, os.O_PATH)
landlock.apply([(fd, Right.READ_FILE | Right.READ_DIR)], [{server.getsockname()[1]}])
def tried(action):
    try: action()
    except OSError as error: return error.errno
    return 0
def dial(port):
    socket.socket().connect(("127.0.0.1", port))
print(tried(lambda: open({str(tmp_path / "in" / "a")!r}).close()),
      tried(lambda: open({str(tmp_path / "in" / "a")!r}, "a").close()),
      tried(lambda: open({str(tmp_path / "b")!r}).close()), tried(lambda: os.mkdir({str(tmp_path / "in" / "d")!r})),
      tried(lambda: dial({server.getsockname()[1]})), tried(lambda: dial({other.getsockname()[1]})))
"""
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "13", "13", "13", "0", "13"]


def test_a_process_dies_with_its_parent() -> None:
    """The child of a killed parent is gone; without the layer it lives on."""
    for asked in (False, True):
        code = f"""
import os, sys, time
from sandbox.host.layers import pdeathsig
parent = os.getpid()
if os.fork() == 0:
    if {asked}: pdeathsig.apply(parent)
    print(os.getpid(), flush=True)
    os.read(0, 1)
    os._exit(0)
time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            child = os.pidfd_open(int(parent.stdout.readline()))
            parent.kill()
            parent.wait()
            assert _ends(child, 5.0 if asked else 0.3) is asked
        os.close(child)


def test_another_process_of_the_user_cannot_read_its_memory() -> None:
    """With the layer; without capabilities, which would let it anyway."""
    for asked in (False, True):
        layer = "dumpable.apply();" if asked else ""
        code = f"from sandbox.host.layers import capabilities, dumpable; capabilities.apply(); {layer} print(flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert _reads_memory(process.pid) is not asked
            process.communicate(b"\n")


def _reads_memory(pid: int) -> bool:
    code = f"from sandbox.host.layers import capabilities; capabilities.apply(); open('/proc/{pid}/mem').close()"
    return subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode == 0


def _ends(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])
