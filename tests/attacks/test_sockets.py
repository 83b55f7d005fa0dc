"""Ways of a tcp socket to an address that no rule names. `tests/host/gateway` tries the same from below."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.policy.load import load_policy
from sandbox.result import CallResult
from tests.attacks.stage import Stage, policy, value
from tests.attacks.test_network import refused
from tests.host.gateway import upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = [127, 0, 0, 1]
Nameserver = upstream.Nameserver


def echo(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(1 << 16):
        sock.sendall(data)


@pytest.fixture
def server() -> Iterator[upstream.Upstream]:
    """An echo on this machine; it counts its connections."""
    server = upstream.start(echo)
    yield server
    server.close()


def lines(*entries: str) -> str:
    """A policy with these network lines."""
    return policy(network="\n".join(entries))


def loopback(port: int) -> str:
    """The line for one port of this machine."""
    return f"cidr: 127.0.0.1/32, ports: [{port}], protocols: [tcp]"


def named(host: str, port: int) -> str:
    """The line for one port of a name."""
    return f'host: "{host}", ports: [{port}], protocols: [tcp]'


def asked(port: int, address: list[int] | None = None) -> dict[str, Any]:
    """The arguments of `ask`: say hello, and hear it."""
    return {"address": address or HERE, "port": port, "text": "hello", "shut": "", "most": 5}


async def test_no_rule_no_connection(stage: Stage, server: upstream.Upstream) -> None:
    """NET-01: also where http may go anywhere; the refusal names host and port, and the command that grants it."""
    for document in (policy(), lines('host: "*"', "cidr: 127.0.0.1/32, ports: any")):
        await stage.load("dials", document)
        result = await stage.contained("dials__ask", refused, **asked(server.port), repeats=4)
        assert result.body is not None
        assert result.body["tried"] == {"scheme": "tcp", "host": "127.0.0.1", "port": server.port, "operation": "connect"}
        assert result.body["grant"] == {"cidr": "127.0.0.1/32", "ports": [server.port], "protocols": ["tcp"]}
        assert result.body["command"].startswith("sandbox permission grant dials --from-denial ")
    assert server.connections == 0


async def test_no_rule_no_lookup(stage: Stage) -> None:
    """NET-01: a name that no line lets be dialled is not looked up; what to write is said with the port left open."""
    await stage.load("dials", lines('host: "*"'))
    result = await stage.contained("dials__look-up", refused, name="localhost", repeats=4)
    assert result.body is not None
    assert "sandbox permission grant dials network localhost --protocol tcp --port PORT" in result.body["help"]


async def test_a_connection_that_a_line_names_leaves_nothing(stage: Stage, server: upstream.Upstream) -> None:
    """What is allowed is reached, twenty times, and nothing stays open."""

    def heard(result: CallResult) -> None:
        assert value(result) == {"text": "hello", "ended": "enough"}

    await stage.load("dials", lines(loopback(server.port)))
    await stage.contained("dials__ask", heard, **asked(server.port))
    refused(await stage.call("dials__ask", **asked(server.port + 1 if server.port < 65535 else 1)))
    refused(await stage.call("dials__ask", **asked(server.port, [127, 0, 0, 2])))


async def test_a_name_leads_where_it_led_first(online: Stage, server: upstream.Upstream, nameserver: Nameserver) -> None:
    """NET-02: rebinding between lookup and connection changes nothing; a lookup that leads inside is refused, all of it."""
    nameserver.renew({"turns.test": [("127.0.0.1",), ("169.254.169.254",)], "mixed.test": [("192.88.98.1", "10.0.0.1")]})
    await online.load("dials", lines(named("*.test", server.port), loopback(server.port)))
    arguments = {"name": "turns.test", "port": server.port, "text": "hello", "most": 5}
    assert value(await online.call("dials__ask-name", **arguments))["text"] == "hello"
    assert [name for name, _ in nameserver.asked] == ["turns.test"] * 2, "A and AAAA, once each"
    for name in ("turns.test", "mixed.test"):
        refused(await online.call("dials__look-up", name=name))
    await online.neighbour_is_well()


async def test_what_another_call_looked_up_is_not_reached(
    online: Stage, server: upstream.Upstream, nameserver: Nameserver
) -> None:
    """NET-02: a host's line reaches the addresses that its name led to in the same call, and a public one by itself never."""
    nameserver.renew({"public.test": [("192.88.98.1",)]})
    await online.load("dials", lines(named("public.test", 9)))
    assert value(await online.call("dials__look-up", name="public.test")) == [[192, 88, 98, 1]]
    result = await online.call("dials__ask", **asked(10, [192, 88, 98, 1]))
    refused(result)
    assert result.outcome.denials[-1].target["host"] == "192.88.98.1", "not the name, whose line has another port anyway"


SPELLINGS = ["2130706433", "0x7f.1", "017700000001", "127.1", "0", "[::1]", "fe80::1%lo", "0x7f000001", "127.0.0.1.", "1e3"]
MAPPED = [[0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1], [0x64, 0xFF9B, 0, 0, 0, 0, 0x7F00, 1], [0] * 8, [0] * 7 + [1], [0, 0, 0, 0]]


async def test_no_spelling_of_this_machine_is_reached(stage: Stage, server: upstream.Upstream) -> None:
    """NET-03: under a line for every name, and one for the address itself where the spelling is another."""
    await stage.load("dials", lines(named("*", server.port), loopback(server.port)))
    for spelling in SPELLINGS:
        result = await stage.call("dials__look-up", name=spelling)
        assert not (result.outcome.ok and value(result) != [HERE]), spelling
    for address in MAPPED:
        refused(await stage.call("dials__ask", **asked(server.port, address)))
    assert server.connections == 0
    await stage.neighbour_is_well()


INSIDE = [
    [169, 254, 169, 254],
    [0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254],
    [100, 64, 0, 1],
    [192, 0, 0, 8],
    [224, 0, 0, 1],
    [240, 0, 0, 1],
    [0xFF02, 0, 0, 0, 0, 0, 0, 1],
    [10, 0, 0, 1],
]


async def test_metadata_and_ranges_inside_are_refused_under_a_star(stage: Stage) -> None:
    """NET-04: and a metadata service under the range around it too."""
    await stage.load("dials", lines('host: "*", ports: any, protocols: [tcp]'))
    for address in INSIDE:
        refused(await stage.call("dials__ask", **asked(80, address)))
    await stage.load("dials", lines("cidr: 169.254.0.0/16, ports: any, protocols: [tcp]"))
    refused(await stage.call("dials__ask", **asked(80, INSIDE[0])))


async def test_a_wildcard_means_true_subdomains(online: Stage) -> None:
    """NET-05."""
    await online.load("dials", lines(named("*.example.com", 5432)))
    for host in ("example.com", "evil-example.com", "example.com.evil.com", ".example.com", "xexample.com"):
        refused(await online.call("dials__look-up", name=host))


async def test_a_flood_of_connections_is_counted(stage: Stage, server: upstream.Upstream) -> None:
    """Two hundred at a time: at most 32 are there at once, none stays, and the next call is served.

    How many get through depends on which were given up before others came: where all are there at once, none does.
    """

    def bounded(result: CallResult) -> None:
        told = value(result)
        assert len(told) == 200
        assert told.count("ok") <= 32

    await stage.load("dials", lines(loopback(server.port)))
    await stage.contained("dials__at-once", bounded, address=HERE, port=server.port, times=200, repeats=2, within_s=20)
    assert value(await stage.call("dials__ask", **asked(server.port)))["text"] == "hello"


async def test_a_revoke_cuts_the_connections_and_leaves_the_call(stage: Stage, server: upstream.Upstream) -> None:
    """GRT-02: the guest's read fails at once, and the call returns; the next one connects no more."""
    await stage.load("dials")
    grant = await stage.sandbox.grant_network_permission(
        "dials", cidr="127.0.0.1/32", ports=[server.port], protocols=["tcp"], who="a test"
    )
    running = asyncio.create_task(stage.call("dials__ask", **{**asked(server.port), "most": 100}))
    await stage.running()
    receipt = await stage.sandbox.revoke(grant.id)
    result = await asyncio.wait_for(running, 5)
    assert value(result) == {"text": "hello", "ended": "failed"}
    (cut,) = receipt.stopped
    assert (cut.connections_only, cut.tool) == (True, "dials__ask")
    assert "revoked while it ran" in result.outcome.denials[-1].reason
    refused(await stage.call("dials__ask", **asked(server.port)))


async def test_an_update_that_takes_the_port_away_cuts_its_connection(stage: Stage, server: upstream.Upstream) -> None:
    """GRT-02: `policy set` is a revoke of what it takes away."""
    await stage.load("dials", lines(loopback(server.port)))
    running = asyncio.create_task(stage.call("dials__ask", **{**asked(server.port), "most": 100}))
    await stage.running()
    await stage.sandbox.update_component_policy("dials", load_policy(lines(loopback(1)), file="policy.yaml"))
    assert value(await asyncio.wait_for(running, 5))["ended"] == "failed"
