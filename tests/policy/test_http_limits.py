"""`limits` of a network line: what may be written, what a looser line beside them makes of them, and what a change takes away."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.http_limits import HttpLimits, stricter
from sandbox.policy.load import load_policy
from sandbox.template.compare import differences
from sandbox.template.difference import taken_away
from sandbox.template.explain import explain_url
from sandbox.template.template import WasiTemplate
from tests.template.compiling import compiled


def document(*lines: str) -> str:
    entries = "".join(f"\n      - {{{line}}}" for line in lines)
    return f'version: "2.0"\npermissions:\n  network:\n    allow:{entries}\n'


def problems(*lines: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(document(*lines), file="p.yaml")
    return "\n".join(str(problem) for problem in caught.value.problems)


def flow(*lines: str) -> str:
    return f"{{network: {{allow: [{', '.join(f'{{{line}}}' for line in lines)}]}}}}"


def template(*lines: str, ceiling: str | None = None) -> WasiTemplate:
    return compiled(flow(*lines), ceiling=ceiling).template


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("{}", "the limits name none"),
        ("{request: 1/s}", "did you mean `requests`?"),
        ("{requests: 60}", "limits.requests"),
        ("{requests: 60/m}", "write a whole number up to 99999, and `/s`, `/min` or `/h`"),
        ("{requests: 0/s}", "is no rate of requests"),
        ("{requests: 100000/s}", "is no rate of requests"),
        ("{connections: 0}", "is no limit"),
        ("{connections: 2000}", "limits.connections"),
        ("{request_bytes: 64}", "limits.request_bytes"),
        ("{response_bytes: 5MB}", "is no size"),
        ("{timeout: 10}", "limits.timeout"),
    ],
)
def test_a_limit_without_a_clear_number_is_refused(limits: str, said: str) -> None:
    assert said in problems(f"host: a.example, limits: {limits}")


def test_a_deny_has_no_limits() -> None:
    text = 'version: "2.0"\npermissions: {network: {deny: [{host: a.example, limits: {requests: 1/s}}]}}\n'
    with pytest.raises(PolicyError, match="unknown key `limits`"):
        load_policy(text, file="p.yaml")


@pytest.mark.parametrize(
    "wide",
    [
        "host: a.example",
        'host: "*.example"',
        "host: a.example, limits: {connections: 1}",
        "host: a.example, limits: {requests: 61/min}",
        "host: a.example, limits: {requests: 60/s}",
    ],
)
def test_a_limit_beside_a_looser_line_is_none_and_is_refused(wide: str) -> None:
    """Lines add up: what the looser one lets through is let through."""
    said = problems("host: a.example, limits: {requests: 60/min}", wide)
    assert "`requests` of `a.example` reads like a restriction but is none: p.yaml:" in said


def test_a_limit_beside_a_stricter_line_holds_for_what_that_does_not_name() -> None:
    load_policy(
        document('host: "*.example", limits: {requests: 60/min}', "host: a.example, limits: {requests: 70/min}"), file="p"
    )


def test_the_line_and_each_ceilings_line_hold() -> None:
    ceiling = flow('host: "*.example", limits: {requests: 100/h, timeout: 5s}')
    one, *_ = template("host: a.example, limits: {requests: 60/min}", ceiling=ceiling).network
    own, above = one.limits
    assert (own.requests, own.seconds, own.timeout_ms) == (60, 60, None)
    assert (above.requests, above.seconds, above.timeout_ms) == (100, 3600, 5000)
    assert own.origin != above.origin


def test_a_ceilings_limits_narrow_a_line_without_any_and_say_so() -> None:
    made = compiled(flow("host: a.example"), ceiling=flow("host: a.example, limits: {requests: 1/h}"))
    assert all(rule.limits[0].requests == 1 for rule in made.template.network)
    assert any("the ceiling narrows `a.example`" in warning for warning in made.warnings)
    assert any(note.line == "requests 1/h on a.example" for note in made.notes)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ("{requests: 60/min}", "{requests: 59/min}", True),
        ("{requests: 60/min}", "{requests: 60/h}", True),
        ("{requests: 60/min}", "{requests: 60/min, timeout: 1s}", True),
        ("{requests: 60/min}", "{requests: 60/s}", False),
        ("{requests: 60/min, timeout: 1s}", "{requests: 60/min}", False),
    ],
)
def test_a_lower_limit_takes_something_away(before: str, after: str, lost: bool) -> None:
    old, new = (template(f"host: a.example, limits: {limits}") for limits in (before, after))
    assert taken_away(old, new).network is lost


def test_a_limit_where_there_was_none_takes_something_away() -> None:
    assert taken_away(template("host: a.example"), template("host: a.example, limits: {timeout: 1h}")).only_network


def test_a_line_that_moved_takes_nothing_away() -> None:
    line = "host: a.example, limits: {requests: 60/min}"
    assert not taken_away(template(line), template("host: b.example", line))


def test_fewer_in_a_longer_time_are_stricter() -> None:
    def rate(count: int, seconds: int) -> tuple[HttpLimits, ...]:
        return (HttpLimits("", requests=count, seconds=seconds),)

    assert stricter(rate(60, 60), rate(60, 3600)) is None
    assert stricter(rate(60, 3600), rate(60, 60)) == "requests"
    assert stricter(rate(1, 1), rate(60, 60)) == "requests", "sixty may come within one second"


def test_what_explains_and_compares_policies_tells_the_limits() -> None:
    limited = template("host: a.example, protocols: [https], limits: {requests: 60/min, response_bytes: 5Mi}")
    free = template("host: a.example, protocols: [https]")
    assert explain_url(limited, "https://a.example/").line.endswith(", under requests 60/min, response_bytes 5Mi")
    assert "under" not in explain_url(free, "https://a.example/").line
    found = differences(limited, free).found[0]
    assert "requests 60/min" in found.left.says
    assert "requests" not in found.right.says
