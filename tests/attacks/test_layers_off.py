"""The attacks that two layers hold, with one of them away: without the gate the others hold, and without any other the gate.

`tests/support/sabotage.py` takes them away, by a word in the policy; with both away each attack succeeds, or it would prove
nothing. What is told of a refusal is not asked here: another layer answers.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.api import Sandbox
from sandbox.errors import HostUnavailable
from sandbox.host.layers.report import NAMES
from tests.attacks.stage import CANARY, Stage, attempts, policy, staged, value
from tests.attacks.test_network import greet, request
from tests.host.gateway import upstream
from tests.support import sabotaged
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANY_LAYER = [*NAMES]
NO_GATE = ["files", *(f"files {layer}" for layer in NAMES)]
"""Wasmtime's own, contained by Wasmtime: whatever layer of the system is missing besides."""
ONLY_LANDLOCK = ["files narrow", *(f"files narrow {layer}" for layer in NAMES if layer not in ("landlock", "no_new_privs"))]
"""Wasmtime's own on the whole disk: only the kernel is left, by one layer, which cannot be had with privileges to gain."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A host whose workers go without what their policy says."""
    with sabotaged.allowed():
        async with staged(tmp_path_factory.mktemp("without")) as stage:
            yield stage


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """`w` to write in, with links that lead out, and what lies outside."""
    for name in ("w/sub", "outside/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "w/x").write_text("inside")
    (tmp_path / "outside/secret").write_text(CANARY)
    for name, target in {"abs": str(tmp_path / "outside"), "rel": "../outside", "relslash": "../outside/", "up": ".."}.items():
        (tmp_path / "w" / name).symlink_to(target)
    (tmp_path / "w/file").symlink_to("../outside/secret")
    return tmp_path


@pytest.fixture
def server() -> Iterator[upstream.Upstream]:
    """A web server that no policy names."""
    server = upstream.start(greet)
    yield server
    server.close()


def given(world: Path, without: str) -> str:
    """Everything below `/w`, in a worker without these."""
    return policy(f'uri: "fs://{world}/w/**", access: [read, write, create, delete], mount: /w', environment=missing(without))


def missing(without: str) -> str:
    """The entry that takes layers away."""
    return f'key: SANDBOX_WITHOUT, value: "{without}"'


def reached(got: dict[str, str]) -> dict[str, str]:
    """The attempts that read, listed or opened something outside; about a name alone, no layer of the system asks."""
    told = ("open unfollowed", "readlink", "stat")
    return {
        what: end for what, end in got.items() if not what.startswith(told) and end.startswith(("read:", "names:", "dir", "ok"))
    }


async def opened(stage: Stage, world: Path, without: str, paths: list[str]) -> dict[str, str]:
    """What became of opening each path below the mount; one inside is read, or nothing is proved."""
    await stage.load("escape_traversal", given(world, without))
    inside = f"{world}/w/x".lstrip("/") if "narrow" in without else "./x"
    got = attempts(await stage.call("escape_traversal__open-each", mount="/w", paths=[inside, *paths]))
    assert next(iter(got.values())) == "read: inside"
    return dict(list(got.items())[1:])


OUT = ["../outside/secret", "sub/../../outside/secret", "//etc/passwd", "/etc/passwd", "..", "../", "sub/../.."]


@pytest.mark.parametrize("without", ANY_LAYER + NO_GATE)
async def test_a_path_leads_nowhere(stage: Stage, world: Path, without: str) -> None:
    """FS-01: held by the gate, whatever is missing behind it; and without it by Wasmtime."""
    got = await opened(stage, world, without, OUT)
    assert reached(got) == {}
    assert CANARY not in str(got)


@pytest.mark.parametrize("without", ONLY_LANDLOCK)
async def test_a_path_is_refused_by_the_kernel(stage: Stage, world: Path, without: str) -> None:
    """FS-01, FS-03: with no gate, and the whole disk preopened."""
    names = ["outside/secret", "w/../outside/secret", "w/rel/secret", "w/relslash/secret", "w/file", "w/up/outside/secret"]
    paths = [f"{world}/{name}".lstrip("/") for name in names]
    assert reached(await opened(stage, world, without, [*paths, "etc/passwd", "proc/self/environ"])) == {}


async def test_a_path_leads_out_where_nothing_holds_it(stage: Stage, world: Path) -> None:
    """FS-01: without gate, narrow preopens and Landlock, so that the others can fail."""
    got = await opened(stage, world, "files narrow landlock", [f"{world}/outside/secret".lstrip("/")])
    assert list(got.values()) == [f"read: {CANARY}"]


@pytest.mark.parametrize("without", ANY_LAYER + NO_GATE)
async def test_a_link_is_not_followed_out(stage: Stage, world: Path, without: str) -> None:
    """FS-03, FS-04: open, list and stat through links, with a slash behind them and without."""
    await stage.load("escape_symlink", given(world, without))
    names = ["abs", "rel", "relslash", "up", "file"]
    got = attempts(await stage.call("escape_symlink__follow", mount="/w", names=names))
    assert got
    assert reached(got) == {}
    changed = attempts(await stage.call("escape_symlink__change-through", mount="/w", names=names[:4]))
    assert not [what for what, end in changed.items() if end == "ok" and not what.startswith("unlink")]
    assert sorted(path.name for path in (world / "outside").rglob("*")) == ["deep", "secret"]


@pytest.mark.parametrize("without", ONLY_LANDLOCK)
async def test_a_link_is_refused_by_the_kernel(stage: Stage, world: Path, without: str) -> None:
    """FS-03, FS-04: opening, listing, making and removing where a link leads."""
    await stage.load("escape_symlink", given(world, without))
    names = [f"{world}/w/{name}".lstrip("/") for name in ("rel", "relslash", "up", "file")]
    assert reached(attempts(await stage.call("escape_symlink__follow", mount="/w", names=names))) == {}
    await stage.call("escape_symlink__change-through", mount="/w", names=names[:2])
    assert sorted(path.name for path in (world / "outside").rglob("*")) == ["deep", "secret"]


@pytest.mark.parametrize("without", [*NAMES, "http", "http landlock", "http namespaces", "http seccomp"])
async def test_no_request_leaves(stage: Stage, server: upstream.Upstream, without: str) -> None:
    """NET-01: held by the gate; without it by an empty network and by Landlock, each alone."""
    await stage.load("escape_network", policy(environment=missing(without)))
    result = await stage.call("escape_network__request", **request(server.port))
    assert not result.outcome.ok
    assert server.connections == 0


async def test_a_request_leaves_where_nothing_holds_it(stage: Stage, server: upstream.Upstream) -> None:
    """NET-01: without gate, namespaces and Landlock."""
    await stage.load("escape_network", policy(environment=missing("http namespaces landlock")))
    assert value(await stage.call("escape_network__request", **request(server.port)))["body"] == "hello"


@pytest.mark.parametrize(
    "without", [*NAMES, "http", "sockets", "namespaces landlock seccomp", "sockets namespaces landlock seccomp"]
)
async def test_sockets_and_names_are_refused(stage: Stage, without: str) -> None:
    """NET-01, NET-10: by the gate, and by Wasmtime without it; what native code could still do is in tests/host/layers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.setblocking(False)
        await stage.load("escape_network", policy(network='host: "*"', environment=missing(without)))
        got = attempts(await stage.call("escape_network__sockets", port=listening.getsockname()[1], name="example.com"))
        assert "ok" not in {end for what, end in got.items() if what != "tcp create"}
        with pytest.raises(BlockingIOError):
            listening.recv(16)


@pytest.mark.parametrize("without", [*NAMES, "sockets", "dialling", "dialling namespaces landlock seccomp"])
async def test_no_socket_is_connected(stage: Stage, server: upstream.Upstream, without: str) -> None:
    """NET-01, NET-03, NET-04: by the gate; with a gate that lets all through by the gateway, whatever is missing besides."""
    rules = f'host: "*", ports: [{server.port}], protocols: [tcp]\ncidr: 127.0.0.2/32, ports: [{server.port}], protocols: [tcp]'
    await stage.load("dials", policy(network=rules, environment=missing(without)))
    for address in ([127, 0, 0, 1], [169, 254, 169, 254], [0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1]):
        asked = {"address": address, "port": server.port, "text": "hello", "shut": "", "most": 5}
        assert "denied" in str((await stage.call("dials__ask", **asked)).outcome.value)
    for name in ("localhost", "127.1"):
        assert not (await stage.call("dials__look-up", name=name)).outcome.ok
    assert server.connections == 0


async def test_what_a_line_names_is_connected_without_the_gates_judgement(stage: Stage, server: upstream.Upstream) -> None:
    """The other side: with the gate that lets all through, what a line names is connected, so that the others can fail."""
    rules = f"cidr: 127.0.0.1/32, ports: [{server.port}], protocols: [tcp]"
    await stage.load("dials", policy(network=rules, environment=missing("dialling")))
    asked = {"address": [127, 0, 0, 1], "port": server.port, "text": "GET / HTTP/1.1\r\n\r\n", "shut": "", "most": 8}
    assert value(await stage.call("dials__ask", **asked))["text"] == "HTTP/1.1"


@pytest.mark.parametrize("without", [*NAMES, "environment", "environment descriptors"])
async def test_the_hosts_variables_are_not_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """ENV-01: nor those of the worker, which has none but what Python sets for itself."""
    monkeypatch.setenv("AWS_SECRET", CANARY)
    await stage.load("escape_environment", policy(environment=missing(without)))
    found = value(await stage.call("escape_environment__look"))
    assert CANARY not in str(found)
    assert {name for name, _ in found["variables"]} <= {"SANDBOX_WITHOUT", "LC_CTYPE"}


async def test_strict_isolation_takes_nothing_away(tmp_path: Path) -> None:
    """The switch is for tests: no command and no configuration has it, and `strict` refuses it."""
    with sabotaged.allowed():
        async with Sandbox(tmp_path / "home", isolation="strict") as sandbox:
            with pytest.raises(HostUnavailable, match="takes layers away"):
                await sandbox.load(guest("traps"))
