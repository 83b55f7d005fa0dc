"""Names are told to who may read: a deny of reading, or a rule that only lets write, keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import Code
from tests.attacks.stage import Stage, policy, value

pytestmark = pytest.mark.asyncio(loop_scope="module")


def names(path: str) -> dict[str, Any]:
    return {"verb": "names", "mount": "/w", "path": path, "other": "", "to": ""}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder to read, one with what others left there, and in each a folder."""
    for name in ("open", "drop"):
        (tmp_path / name / "folder-of-others").mkdir(parents=True)
        (tmp_path / name / "file-of-others").write_text("x")
    return tmp_path


async def listed(stage: Stage, document: str, *paths: str) -> tuple[list[str], list[dict[str, Any]]]:
    await stage.load("escape_steps", document)
    result = await stage.sandbox.call("escape_steps__take", {"steps": [names(path) for path in paths]})
    assert {denial.code for denial in result.outcome.denials} <= {Code.FILESYSTEM_ACCESS_DENIED}
    return [each["outcome"] for each in value(result)], [denial.target for denial in result.outcome.denials]


async def test_a_folder_that_may_only_be_written_to_is_not_listed(stage: Stage, world: Path) -> None:
    storage = f'uri: "fs://{world}/drop/**", access: [write, create, delete], mount: /w'
    assert await listed(stage, policy(storage=storage), ".", "folder-of-others") == (
        ["not-permitted", "not-permitted"],
        [{"path": "/w", "operation": "list"}, {"path": "/w/folder-of-others", "operation": "list"}],
    )


async def test_a_deny_of_reading_hides_the_names_below_it(stage: Stage, world: Path) -> None:
    """Writing there is still allowed, and no reason to tell them."""
    storage = f"""uri: "fs://{world}/**", access: [read, write, create, delete], mount: /w
                  deny uri: "fs://{world}/drop/**", access: [read]"""
    outcomes, _ = await listed(stage, policy(storage=storage), ".", "drop", "open")
    assert [sorted(outcome.split()) for outcome in outcomes] == [
        ["names:", "open"],
        ["not-permitted"],
        ["file-of-others", "folder-of-others", "names:"],
    ]


async def test_the_way_to_what_may_be_read_is_listed_and_nothing_beside_it(stage: Stage, world: Path) -> None:
    """A narrower rule below: the folders down to it, without their other entries."""
    (world / "drop" / "folder-of-others" / "mine").mkdir()
    storage = f"""uri: "fs://{world}/drop/**", access: [write, create], mount: /w
                  uri: "fs://{world}/drop/folder-of-others/mine/**", access: [read, write, create]"""
    outcomes, _ = await listed(stage, policy(storage=storage), ".", "folder-of-others")
    assert outcomes == ["names: folder-of-others", "names: mine"]
