"""What only the operator may know: the host's own folders, and an environment that was not handed to this host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.attacks.stage import CANARY, NOTHING, policy, staged, value
from tests.support.guests import guest
from tests.support.serving import Serving, call, lines


async def test_a_guest_sees_the_environment_that_the_sandbox_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENV-01: not the process's own, by which nothing is judged and no record is redacted."""
    monkeypatch.setenv("API_TOKEN", CANARY)
    async with staged(tmp_path, environment={"API_TOKEN": "given to it", "PATH": os.environ["PATH"]}) as stage:
        await stage.load("escape_environment", policy(environment="key: API_TOKEN"))
        assert value(await stage.call("escape_environment__look"))["variables"] == [["API_TOKEN", "given to it"]]


def test_a_client_does_not_learn_where_the_record_lies(tmp_path: Path) -> None:
    """ENV-03: a record that cannot be written stops every call, and only the host's log says which file it is."""
    serving = Serving(tmp_path, [guest("traps")], NOTHING)
    with lines(serving) as client:
        client.handshake()
        assert not client.ask(1, "tools/call", call(1, "traps__fine", number=7)["params"])["result"].get("isError")
        (record,) = (serving.home / "audit").glob("*.jsonl")
        os.link(record, tmp_path / "second name")
        told = client.ask(2, "tools/call", call(2, "traps__fine", number=7)["params"])["result"]
    assert told["isError"]
    assert str(tmp_path) not in str(told)
    assert "unavailable" in str(told)
