"""Every part of an outcome that reaches a caller is looked through, and comes back as it was but for what is taken out."""

from __future__ import annotations

import asyncio
import time

import pytest

from sandbox.admission import Authorizer
from sandbox.admission.document.load import load_admission
from sandbox.admission.sections import content
from sandbox.errors import Code
from sandbox.host.outcome import Denial, Ending, Outcome, Usage
from sandbox.in_force.inspecting import inspect, looked_through, unseen
from sandbox.redaction import Redactor

USAGE = Usage(wall_ms=5.0)
PARTS = ("value", "message", "stdout", "stderr", "denial")


def outcome(part: str) -> Outcome:
    said = {name: "the canary" if name == part else "harmless" for name in PARTS}
    denial = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": said["denial"], "operation": "open"}, "no line allows it")
    texts = {name: said[name] for name in ("message", "stdout", "stderr")}
    return Outcome(Ending.GUEST_ERROR, {"it": said["value"]}, denials=(denial, denial), usage=USAGE, **texts)


def authorizer(action: str) -> Authorizer:
    text = f'version: "1.0"\ncontent: [{{pattern: canary, reason: bird, where: [result], action: {action}}}]'
    return Authorizer(load_admission(text, file="a.yaml"))


@pytest.mark.parametrize("part", PARTS)
def test_what_may_not_leave_is_found_in_every_part(part: str) -> None:
    looked = inspect(authorizer("block"), outcome(part), Redactor())
    assert looked.found is not None
    said = "the call ran, and its result is kept back: it holds bird"
    assert looked.told == Outcome(Ending.WITHHELD, message=said, usage=USAGE)
    assert "canary" not in str(looked.ran)
    assert (looked.ran.ending, len(looked.ran.denials), looked.ran.usage) == (Ending.GUEST_ERROR, 2, USAGE)
    shown = [denial.target for denial in looked.ran.denials]
    assert shown == [{} if part == "denial" else denial.target for denial in outcome(part).denials], "blanked alone"
    asked = inspect(authorizer("require_approval"), outcome(part), Redactor()).told
    assert asked.ending is Ending.WITHHELD
    assert "needs an approval" in asked.message


@pytest.mark.parametrize("part", PARTS)
def test_what_is_taken_out_leaves_the_rest_as_it_was(part: str) -> None:
    before = outcome(part)
    told = inspect(authorizer("redact"), before, Redactor()).told
    assert "canary" not in str(told)
    assert str(told) == str(before).replace("canary", "[REDACTED:BIRD]")
    assert "canary" in str(before), "a copy"


@pytest.mark.parametrize("value", [["x"] * 200, [[["x"]]]])
def test_what_cannot_be_looked_through_does_not_leave(value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_DEPTH", 3)
    monkeypatch.setattr(content, "MAX_TEXTS", 100)
    told = inspect(authorizer("redact"), Outcome(Ending.RETURNED, value), Redactor()).told
    assert told.ending is Ending.WITHHELD
    assert "cannot be looked through" in told.message


def test_many_numbers_are_looked_at_together() -> None:
    """A hundred thousand bytes are one text, and a number of a card among them is found."""
    begun = time.process_time()
    bytes_ = list(range(256)) * 400
    asked = Authorizer(
        load_admission('version: "1.0"\ncontent: [{use: personal-data, where: [result], action: block}]', file="a")
    )
    assert inspect(asked, Outcome(Ending.RETURNED, bytes_), Redactor()).found is None
    assert inspect(asked, Outcome(Ending.RETURNED, [1, 4111111111111111]), Redactor()).found is not None
    assert time.process_time() - begun < 1


def test_what_holds_nothing_is_the_same_object() -> None:
    harmless = outcome("none of them")
    assert inspect(authorizer("block"), harmless, Redactor()).told is harmless
    assert inspect(Authorizer("strict"), harmless, Redactor()).ran is harmless


def test_of_what_nobody_looked_through_its_end_is_recorded_and_the_codes() -> None:
    ran = unseen(outcome("denial"))
    assert (ran.ending, [denial.code for denial in ran.denials]) == (Ending.GUEST_ERROR, [Code.FILESYSTEM_ACCESS_DENIED] * 2)
    assert "harmless" not in str(ran)
    assert "canary" not in str(ran)


@pytest.mark.parametrize(("value", "waits"), [("x" * 100, False), ("x " * 1000, True), ([{"a": ["b"] * 600}] * 2, True)])
async def test_a_large_result_is_looked_through_beside_the_loop(value: object, *, waits: bool) -> None:
    looking = asyncio.create_task(looked_through(authorizer("block"), Outcome(Ending.RETURNED, value), Redactor()))
    await asyncio.sleep(0)
    assert looking.done() is not waits
    assert (await looking).told.ok
