"""The official conformance suite, both of its requirement sets, and the Inspector's strict look at the tools."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from sandbox.server.builtin import BuiltinTools
from tests.attacks.stage import Stage, staged
from tests.support.conformance import ConformanceServer
from tests.support.http import Served, served
from tests.support.node import OLDEST, installed, node_version, run

SUITES = Path(__file__).parent / "suites"
SCENARIO = re.compile(r"^. ([a-z0-9-]+): (\d+) passed, (\d+) failed$", re.MULTILINE)
"""A line of the suite's summary."""

EXCEPTIONS: dict[str, dict[str, str]] = yaml.safe_load((SUITES / "exceptions.yml").read_text())

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(node_version() < OLDEST, reason=f"node {OLDEST} and npm are not installed"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("conformance")) as stage:
        await stage.load_for_clients("every_type")
        yield stage


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
@pytest.mark.parametrize(("requirements", "scored"), [("2025-11-25", 30), ("2026-07-28", 37)])
async def test_the_conformance_suite_passes_but_for_the_named_exceptions(
    stage: Stage, tmp_path: Path, requirements: str, scored: int
) -> None:
    suite = installed(SUITES)
    server = ConformanceServer(stage.sandbox, asyncio.create_task(asyncio.sleep(0)))
    async with served(stage.sandbox, server=server) as front:
        words = ["--url", front.url, "--requirements", requirements, "-o", tmp_path]
        done = await run(suite / "node_modules/.bin/conformance", "server", *words, folder=suite)
    ran = {name: (int(passed), int(failed)) for name, passed, failed in SCENARIO.findall(done.out)}
    assert {name for name, (_, failed) in ran.items() if failed} == set(EXCEPTIONS[requirements]), done.out
    assert len([name for name, (passed, failed) in ran.items() if passed and not failed]) >= scored, done.out + done.err
    assert done.code == 0


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_nothing_in_the_tools(stage: Stage, era: str) -> None:
    """`--strict` is its look at what not every model's host takes; it ends with 6 where there is an error."""
    suite = installed(SUITES)
    async with served(stage.sandbox, own=BuiltinTools(stage.sandbox)) as front:
        listed = await inspected(suite, front, "tools/list", "--strict", "--protocol-era", era)
        called = await inspected(
            suite, front, "tools/call", "--tool-name", "every_type__echo-u32", "--tool-arg", "x=7", "--protocol-era", era
        )
        policy = await inspected(
            suite, front, "resources/read", "--uri", "sandbox://components/files/policy", "--protocol-era", era
        )
    assert {"files__read", "load_component"} <= {tool["name"] for tool in listed["tools"]}
    assert called["structuredContent"] == {"result": 7}
    assert json.loads(policy["contents"][0]["text"])["component"] == "files"


async def inspected(suite: Path, front: Served, method: str, *words: str) -> Any:
    inspector = suite / "node_modules/.bin/mcp-inspector"
    done = await run(inspector, "--cli", "-q", "--format", "json", front.url, "--method", method, *words, folder=suite)
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)["result"]
