"""A result of which a document takes something out is still what its tool declares, or is kept back with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from sandbox import Sandbox
from sandbox.admission.document.load import load_admission
from sandbox.audit import records
from tests.support.commands import sandbox as command
from tests.support.guests import guest
from tests.support.http import served

LINES = """version: "1.0"
template: permissive
content:
  - {use: secrets, where: [result], action: redact}
  - {pattern: '\\b4111[0-9 ]{12,16}\\b', reason: card, where: [result], action: redact}
  - {pattern: green, reason: colour, where: [result], action: redact}
"""
TOKEN = "gh" + "p_" + "a1B2" * 10
BROKEN: tuple[tuple[str, Any], ...] = (
    ("echo-u64", 4111111111111111),
    ("echo-enum", "green"),
    ("echo-lists", [[4111, 1111, 1111, 1111]]),
)
SAID = "the call ran, and its result is kept back: with {} taken out it is no longer of the type that the tool declares"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home, so that the guest is compiled once."""
    return tmp_path_factory.mktemp("kept-back")


async def test_a_result_that_its_tools_type_no_longer_fits_is_kept_back_with_the_reason(folder: Path) -> None:
    """The official client refuses a result that breaks the tool's own schema, and would not say why."""
    async with Sandbox(folder / "home", admission=load_admission(LINES, file="admission.yaml")) as sandbox:
        await sandbox.load(guest("every_type"))
        async with served(sandbox) as front:
            for mode in ("legacy", "auto"):
                async with Client(front.url, mode=mode) as client:
                    for tool, x in BROKEN:
                        kept = await client.call_tool(f"every_type__{tool}", {"x": x})
                        assert kept.is_error
                        told = json.loads(kept.content[0].text)  # type: ignore[union-attr]
                        said = SAID.format("colour" if x == "green" else "card")
                        assert (told["code"], told["message"]) == ("content_withheld", said)
                        assert "4111" not in str(kept)
                    passed = await client.call_tool("every_type__echo-string", {"x": TOKEN})
                    assert passed.structured_content == {"result": "[REDACTED:GITHUB_TOKEN]"}
    ends = [one for one in records(folder / "home" / "audit") if one["event"] in {"tool_failure", "tool_success"}][-8:]
    assert [one["reason"] for one in ends[:2]] == [SAID.format("card"), SAID.format("colour")]
    assert [one["ending"] for one in ends] == ["withheld", "withheld", "withheld", "returned"] * 2
    assert ends[0]["detail"]["ran"] == "returned"


def test_at_the_command_line_too(folder: Path) -> None:
    (folder / "sandbox.yaml").write_text("admission: ./admission.yaml\n")
    (folder / "admission.yaml").write_text(LINES)
    words = ("tool", "call", str(guest("every_type")), "every_type__echo-enum", "x=green", "--json")
    done = command(*words, "--config", str(folder / "sandbox.yaml"), folder=folder)
    told = json.loads(done.stdout)
    assert (told["error"]["code"], told["error"]["message"]) == ("content_withheld", SAID.format("colour"))
    assert done.returncode == 1
