"""A call's result on the wire is what the SDK would write from its own models, in both eras."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mcp.types as t
import pytest
from mcp_types.methods import serialize_server_result
from mcp_types.version import LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from sandbox.errors import Code
from sandbox.host.outcome import Denial, Ending, Outcome
from sandbox.result import CallResult
from sandbox.server.calls import shown
from sandbox.wit.tools import tools_of
from sandbox.wit.types import Digest, Export, Primitive, World

WORLD = World(
    exports=(
        Export(None, "says", (("x", Primitive("u32")),), Primitive("string")),
        Export(None, "silent", (), None),
    )
)
TOOLS = {tool.name: tool for tool in tools_of("c", WORLD, Digest("0" * 64))}
RETURNED = Outcome(Ending.RETURNED, value="a\u00e9\u2028")
DENIED = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": "/x", "operation": "read"}, "no rule", None)
RESULTS = {
    "a value": ("c__says", CallResult(RETURNED, "r-1", None)),
    "a value, and denials that were swallowed": ("c__says", CallResult(replace(RETURNED, denials=(DENIED,)), "r-1", None)),
    "a value, and printed text": ("c__says", CallResult(replace(RETURNED, stdout="out", stderr="err"), "r-1", None)),
    "a value, and warnings": ("c__says", CallResult(RETURNED, "r-1", None, warnings=("66% of a budget is used",))),
    "nothing": ("c__silent", CallResult(Outcome(Ending.RETURNED), "r-1", None)),
    "an error": ("c__says", CallResult(Outcome(Ending.TRAPPED, message="unreachable"), "r-1", {"code": "trapped", "n": 1})),
}


@pytest.mark.parametrize("structured_errors", [True, False])
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_what_the_sdk_writes_from_its_models(name: str, structured_errors: bool) -> None:
    tool, called = RESULTS[name]
    wire: dict[str, Any] = shown(called, TOOLS[tool], structured_errors=structured_errors)
    model = t.CallToolResult.model_validate(wire, by_name=False)
    assert model.model_dump(by_alias=True, mode="json", exclude_none=True) == {**wire, "resultType": "complete"}
    assert serialize_server_result("tools/call", LATEST_HANDSHAKE_VERSION, wire) == wire
    complete = {**wire, "resultType": "complete"}
    assert serialize_server_result("tools/call", LATEST_MODERN_VERSION, complete) == complete
