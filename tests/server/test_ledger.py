"""Which requests wait for their answers."""

from __future__ import annotations

import mcp.types as t

from sandbox.server.ledger import MAX_IN_FLIGHT, Ledger


def request(request_id: t.RequestId, method: str = "tools/call") -> t.JSONRPCRequest:
    return t.JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method)


async def test_an_id_that_waits_is_refused_also_in_its_other_spelling() -> None:
    """The SDK takes `"7"` and `7` for one: the second would steal the first one's cancellation."""
    ledger = Ledger()
    assert ledger.ask(request(7)) is None
    for again in (7, "7"):
        refusal = ledger.ask(request(again))
        assert refusal is not None
        assert (refusal.id, refusal.error.code) == (again, t.INVALID_REQUEST)
    ledger.answered(7)
    assert ledger.ask(request("7")) is None


async def test_more_than_so_many_requests_are_refused() -> None:
    ledger = Ledger()
    assert all(ledger.ask(request(number)) is None for number in range(MAX_IN_FLIGHT))
    refusal = ledger.ask(request(MAX_IN_FLIGHT))
    assert refusal is not None
    assert refusal.error.message.startswith("busy")


async def test_who_listens_does_not_keep_the_end_waiting() -> None:
    ledger = Ledger()
    ledger.ask(request(1, "subscriptions/listen"))
    ledger.ask(request(2))
    assert not ledger.idle.is_set()
    ledger.answered(2)
    assert ledger.idle.is_set()
    assert not ledger.empty.is_set()
    ledger.answered(1)
    assert ledger.empty.is_set()


async def test_a_cancelled_request_waits_no_more() -> None:
    ledger = Ledger()
    ledger.ask(request(5))
    ledger.cancelled(t.JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": "5"}))
    assert ledger.idle.is_set()
