"""What a component keeps between its calls: its own alone, as much as its policy says, and nothing without a line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox
from sandbox.errors import Code
from sandbox.host.gates.keyvalue import NONE
from sandbox.policy.load import load_policy
from tests.support.components import COMPONENTS

pytestmark = pytest.mark.asyncio(loop_scope="package")

REMEMBER = COMPONENTS / "remember" / "remember.wasm"


def keeps(size: str | None = "64Ki") -> Any:
    state = "{}" if size is None else f"{{state: {{keyvalue: {{max_size: {size}}}}}}}"
    return load_policy(f'version: "2.0"\npermissions: {state}\n', file="policy.yaml")


async def gives(sandbox: Sandbox, tool: str, *, of: str = "remember", **arguments: str) -> Any:
    result = await sandbox.call(f"{of}__{tool}", arguments)
    return result.outcome.value


async def test_without_a_line_there_is_no_store(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps(None))
    result = await sandbox.call("remember__remember", {"name": "a", "text": "b"})
    assert result.outcome.value == "cannot: this component has no store"
    (denial,) = result.outcome.denials
    assert (denial.code, denial.target, denial.reason) == (
        Code.RESOURCE_LIMIT_EXCEEDED,
        {"resource": "keyvalue", "limit": 0},
        NONE,
    )


async def test_what_would_be_too_much_is_refused_and_leaves_what_is_there(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps("1Ki"))
    assert await gives(sandbox, "remember", name="a", text="x" * 900) is None
    result = await sandbox.call("remember__remember", {"name": "b", "text": "x" * 100})
    assert result.outcome.value.startswith("cannot: `remember` would keep ")
    (denial,) = result.outcome.denials
    assert denial.target == {"resource": "keyvalue", "limit": 1024}
    assert (denial.origin or "").startswith("policy:")
    assert await gives(sandbox, "recall", name="a") == "x" * 900
    assert await gives(sandbox, "recall", name="b") is None
    assert await gives(sandbox, "forget", name="a") is True
    assert await gives(sandbox, "remember", name="b", text="x" * 100) is None, "there is room again"


async def test_a_component_reaches_its_own_values_alone(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps())
    await sandbox.load(REMEMBER, policy=keeps(), name="other")
    await gives(sandbox, "remember", name="a", text="mine")
    assert await gives(sandbox, "recall", of="other", name="a") is None
    assert await gives(sandbox, "names", of="other") == []
    assert await gives(sandbox, "forget", of="other", name="a") is False
    assert await gives(sandbox, "recall", name="a") == "mine"


async def test_values_outlive_the_call_the_host_and_a_policy_without_them(home: Path) -> None:
    async with Sandbox(home) as sandbox:
        await sandbox.load(REMEMBER, policy=keeps())
        await gives(sandbox, "remember", name="ä", text="ü" * 1000)
    async with Sandbox(home) as sandbox:
        await sandbox.load(REMEMBER, policy=keeps(None))
        assert await gives(sandbox, "recall", name="ä") == "cannot: this component has no store"
        await sandbox.update_component_policy("remember", keeps())
        assert await gives(sandbox, "recall", name="ä") == "ü" * 1000
        assert await gives(sandbox, "names") == ["ä"]


async def test_many_calls_at_once_lose_nothing(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps())
    await asyncio.gather(*(gives(sandbox, "remember", name=f"n{number:02}", text=str(number)) for number in range(30)))
    assert await gives(sandbox, "names") == [f"n{number:02}" for number in range(30)]


async def test_a_long_value_goes_through_whole(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps("1Mi"))
    text = "".join(chr(97 + number % 26) for number in range(65_536))
    assert await gives(sandbox, "remember", name="long", text=text) is None
    assert await gives(sandbox, "recall", name="long") == text


async def test_a_key_that_is_too_long_is_refused(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps("1Mi"))
    assert "a key of" in await gives(sandbox, "remember", name="k" * 2000, text="x")


async def test_a_tool_that_keeps_something_is_not_called_read_only(sandbox: Sandbox) -> None:
    await sandbox.load(REMEMBER, policy=keeps())
    await sandbox.load(REMEMBER, policy=keeps(None), name="none")
    assert not sandbox.authority_hints("remember").read_only
    assert sandbox.authority_hints("none").read_only
    rules = {rule.line for rule in sandbox.get_policy("remember").rules}
    assert "keyvalue 64Ki" in rules
