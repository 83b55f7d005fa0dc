"""Which calls are traced, and that a call that is not costs and tells nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.config.telemetry import Collector as Configured
from tests.attacks.stage import Stage, staged
from tests.support.collector import Collector, collecting

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A host that traces no call by itself."""
    telemetry = Configured(collector.url, sample=0.0)
    async with staged(tmp_path_factory.mktemp("telemetry"), telemetry=telemetry) as stage:
        yield stage


async def traces(stage: Stage, traceparent: str | None) -> set[str | None]:
    """What the records of a call say of its trace."""
    told = {} if traceparent is None else {"trace": traceparent}
    result = await stage.sandbox.call("traps__fine", {"number": 1}, metadata=told)
    return {record["trace_id"] for record in stage.records() if record["audit_id"] == result.audit_id}


async def test_of_calls_without_a_trace_the_configured_share_is_traced_and_no_record_is_sent(
    stage: Stage, collector: Collector
) -> None:
    assert await traces(stage, None) == {None}
    assert await traces(stage, f"00-{TRACE}-b7ad6b7169203331-00") == {TRACE}
    assert await traces(stage, f"00-{TRACE}-b7ad6b7169203331-01") == {TRACE}
    collector.trace(TRACE)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert len([span for span in collector.spans if span.name.startswith("tools/call")]) == 1
    assert not collector.records
    counts = stage.sandbox.figures().telemetry
    assert (counts["records", "sent"], counts["spans", "lost"]) == (0, 0)


async def test_a_call_that_is_traced_here_first_has_a_trace_in_the_record(collector: Collector, tmp_path: Path) -> None:
    async with staged(tmp_path, telemetry=Configured(collector.url)) as always:
        (found,) = await traces(always, None)
        assert found is not None
        (call,) = (span for name, span in collector.trace(found).items() if name.startswith("tools/call"))
    assert call.parent_span_id == b""
