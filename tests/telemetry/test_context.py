"""What a client tells of its trace: W3C trace context, and nothing that only looks like it."""

from __future__ import annotations

import pytest

from sandbox.telemetry.context import TraceContext, read_context, trace_id_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    "told",
    [
        None,
        7,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_none(told: object) -> None:
    assert read_context(told) is None
    assert trace_id_of(told) is None


def test_a_traceparent_says_its_trace_its_span_and_whether_it_is_sampled() -> None:
    assert read_context(f"00-{TRACE}-{SPAN}-01") == TraceContext(TRACE, SPAN, sampled=True)
    assert read_context(f"00-{TRACE}-{SPAN}-00") == TraceContext(TRACE, SPAN, sampled=False)
    assert trace_id_of(f"00-{TRACE}-{SPAN}-03") == TRACE


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    assert read_context(f"cc-{TRACE}-{SPAN}-01-what-comes-later") == TraceContext(TRACE, SPAN)


def test_what_others_added_is_passed_on_or_left_out_whole() -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    found = read_context(parent, "vendor=value,other=1")
    assert found is not None
    assert (found.state, found.traceparent) == ("vendor=value,other=1", parent)
    for state in ("v=" + "x" * 600, "v=\n", 7, None):
        assert read_context(parent, state) == TraceContext(TRACE, SPAN)
