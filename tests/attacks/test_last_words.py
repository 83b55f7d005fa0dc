"""What a call did is in its outcome and on record, however it ends: nothing is done so late that nobody hears of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sandbox.host.outcome import Ending
from tests.attacks.stage import Stage, policy, staged
from tests.host.gateway import upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSIDE = 'host: "*.test", ports: [80], protocols: [http]'


@pytest.fixture(scope="module")
def nameserver() -> Iterator[upstream.Nameserver]:
    """Knows one name, which leads inside."""
    server = upstream.Nameserver()
    server.renew({"inside.test": [("10.0.0.1",)]})
    yield server
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def online(tmp_path_factory: pytest.TempPathFactory, nameserver: upstream.Nameserver) -> AsyncIterator[Stage]:
    """A stage whose gateway asks the tests' nameserver, with a guest that does not stay for the answer."""
    async with staged(tmp_path_factory.mktemp("last-words"), nameserver=nameserver.address) as stage:
        yield stage


@pytest.mark.parametrize(("tool", "ending"), [("trap-after", Ending.TRAPPED), ("loop-after", Ending.LIMIT)])
async def test_what_the_gateway_refused_is_told_although_the_worker_died(online: Stage, tool: str, ending: Ending) -> None:
    """A guest that looks for names inside cannot hide it by ending with a trap, or by being killed."""
    await online.load("escape_answer", policy(network=INSIDE, limits="wall_time: 1s"))
    result = await online.sandbox.call(f"escape_answer__{tool}", {"authority": "inside.test"})
    assert result.outcome.ending is ending
    assert [denial.target["host"] for denial in result.outcome.denials] == ["inside.test"]
    assert result.outcome.usage.requests == 1
    online.is_recorded(result, ())


async def test_a_request_that_is_left_behind_ends_with_its_call(online: Stage) -> None:
    """Who does not wait for the answer has asked all the same, and what is still on the way is cut before the outcome is told."""

    def hold(sock: socket.socket) -> None:
        sock.recv(65536)
        ended.append(sock.recv(1))

    ended: list[bytes] = []
    server = upstream.start(hold)
    try:
        rule = f"cidr: 127.0.0.1/32, ports: [{server.port}], protocols: [http]"
        await online.load("escape_answer", policy(network=rule))
        result = await online.sandbox.call("escape_answer__leave", {"authority": f"127.0.0.1:{server.port}"})
        assert result.outcome.value is True
        assert result.outcome.usage.requests == 1
        assert not result.outcome.denials
        # The worker goes on, and with it nothing of the call before.
        assert (await online.sandbox.call("escape_answer__leave", {"authority": f"127.0.0.1:{server.port}"})).outcome.ok
    finally:
        server.close()
    assert not [end for end in ended if end]
