"""FS-14: ways to fill the disk, against the sizes that a rule gives."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from sandbox.errors import Code
from sandbox.host.outcome import Ending
from sandbox.result import CallResult
from tests.attacks.stage import Stage, ended, limited, policy, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE = re.compile(r"policy[.\w]*:\d+:\d+")
MEBI = 1 << 20
QUOTA = 10 * MEBI
A_TICK = 32 * MEBI
"""What several files may grow by before the watcher has looked: far more than a tick's worth, far less than was tried."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the guest may write in."""
    (tmp_path / "w").mkdir()
    return tmp_path / "w"


def given(folder: Path, sizes: str, limits: str = "") -> str:
    """Everything below `/w`, bounded."""
    return policy(f'uri: "fs://{folder}/**", access: [read, write, create, delete], mount: /w, {sizes}', limits=limits)


def stored(folder: Path) -> int:
    """The bytes in a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def told(result: CallResult, name: str) -> None:
    """The size `name` was reached, and the refusal names its value and its line."""
    denials = [denial for denial in result.outcome.denials if denial.code is Code.RESOURCE_LIMIT_EXCEEDED]
    assert [denial.target["resource"] for denial in denials] == [name]
    assert f"`{name}` of " in denials[0].reason
    assert LINE.fullmatch(denials[0].origin or "")


async def test_one_file_ends_where_the_total_is_reached(stage: Stage, folder: Path) -> None:
    """300 MB into a tree of 10: the kernel ends it to the byte, and whoever comes later finds the tree full."""

    def check(result: CallResult) -> None:
        assert value(result)["error"] in {"io", "quota"}
        assert stored(folder) == QUOTA
        told(result, "max_total_size")

    await stage.load("exhaust_files", given(folder, "max_total_size: 10Mi"))
    await stage.contained("exhaust_files__fill", check, repeats=4, mount="/w", path="big", bytes=str(300 * MEBI))


async def test_a_file_ends_where_its_rule_says(stage: Stage, folder: Path) -> None:
    """To the byte, and the tree may hold more."""

    def check(result: CallResult) -> None:
        assert value(result) == {"times": str(3 * MEBI), "error": "io"} or value(result)["times"] == 3 * MEBI
        assert (folder / "big").stat().st_size == 3 * MEBI
        told(result, "max_file_size")

    await stage.load("exhaust_files", given(folder, "max_file_size: 3Mi, max_total_size: 10Mi"))
    await stage.contained("exhaust_files__fill", check, repeats=2, mount="/w", path="big", bytes=str(30 * MEBI))


async def test_an_empty_terabyte_is_refused(stage: Stage, folder: Path) -> None:
    """A sparse file takes nothing on the disk, and promises more than there is."""

    def check(result: CallResult) -> None:
        assert value(result)["error"] == "file-too-large"
        assert stored(folder) == 0
        told(result, "max_file_size")

    await stage.load("exhaust_files", given(folder, "max_total_size: 10Mi"))
    refused = await stage.call("exhaust_files__stretch", mount="/w", path="sparse", bytes=str(1 << 30))
    assert value(refused)["error"] == "quota"
    told(refused, "max_total_size")
    await stage.load("exhaust_files", given(folder, "max_file_size: 1Gi"))
    await stage.contained("exhaust_files__stretch", check, repeats=4, mount="/w", path="sparse", bytes=str(1 << 40))


async def test_a_hundred_thousand_tiny_files_are_refused(stage: Stage, folder: Path) -> None:
    """Each takes a block: a limit of bytes bounds the number of files."""

    def check(result: CallResult) -> None:
        assert value(result)["error"] == "quota"
        assert len(list(folder.iterdir())) == 2 * MEBI // 4096
        told(result, "max_total_size")

    await stage.load("exhaust_files", given(folder, "max_total_size: 2Mi", "file_ops: 100000/s"))
    await stage.contained("exhaust_files__create-many", check, within_s=15, repeats=2, mount="/w", most=100_000)


async def test_many_files_that_grow_together_end_their_call(stage: Stage, folder: Path) -> None:
    """No single one is too long for the kernel; the watcher sees what they are together, or leaves no room to any of them."""

    def check(result: CallResult) -> None:
        assert QUOTA <= stored(folder) < QUOTA + A_TICK
        if result.outcome.ok:
            assert value(result)["error"] == "io"
            told(result, "max_total_size")
        else:
            limited("max_total_size")(result)
            assert LINE.search(result.outcome.message)
        for path in folder.iterdir():
            path.unlink()

    await stage.load("exhaust_files", given(folder, "max_total_size: 10Mi"))
    tool = "exhaust_files__fill-several"
    await stage.contained(tool, check, repeats=0, mount="/w", files=32, bytes=str(300 * MEBI))


async def test_calls_at_the_same_time_share_one_tree(stage: Stage, folder: Path) -> None:
    """Each writes a file that fits; together they do not."""
    await stage.load("exhaust_files", given(folder, "max_total_size: 10Mi"))
    calls = [stage.call("exhaust_files__fill", mount="/w", path=f"each-{i}", bytes=str(9 * MEBI)) for i in range(4)]
    results = await asyncio.gather(*calls)
    assert stored(folder) < 4 * 9 * MEBI
    assert {result.outcome.ending for result in results} <= {Ending.RETURNED, Ending.LIMIT}
    again = await stage.call("exhaust_files__fill", mount="/w", path="later", bytes=str(9 * MEBI))
    assert value(again)["error"] in {"quota", "io"}
    await stage.neighbour_is_well()


async def test_room_that_somebody_made_is_room(stage: Stage, folder: Path) -> None:
    """A tree is measured again before a call is told that it is full."""
    await stage.load("exhaust_files", given(folder, "max_total_size: 1Mi"))
    arguments = {"mount": "/w", "path": "big", "bytes": str(MEBI)}
    assert value(await stage.call("exhaust_files__fill", **arguments))["error"] == "ok"
    assert value(await stage.call("exhaust_files__fill", **arguments | {"path": "more"}))["error"] == "quota"
    (folder / "big").unlink()
    assert value(await stage.call("exhaust_files__fill", **arguments | {"path": "more"}))["error"] == "ok"


async def test_what_lies_there_already_counts(stage: Stage, folder: Path) -> None:
    """A tree that was over its limit before can be read and emptied, and takes nothing more."""
    (folder / "old").write_bytes(bytes(2 * MEBI))
    await stage.load("exhaust_files", given(folder, "max_total_size: 1Mi"))
    assert value(await stage.call("exhaust_files__fill", mount="/w", path="new", bytes="10"))["error"] == "quota"
    read = await stage.call("exhaust_files__open-until-error", mount="/w", path="old", most=1)
    assert value(read) == {"times": value(read)["times"], "error": "ok"}


async def test_a_call_that_is_too_fast_is_held_back(stage: Stage, folder: Path) -> None:
    """It is as slow as its limit says, and it works."""
    (folder / "x").write_text("x")

    def check(result: CallResult) -> None:
        ended(Ending.RETURNED)(result)
        assert result.outcome.usage.wall_ms > 250
        told_rate = [denial for denial in result.outcome.denials if denial.target.get("resource") == "file_ops"]
        assert [denial.target["limit"] for denial in told_rate] == [100]
        assert LINE.fullmatch(told_rate[0].origin or "")

    await stage.load("exhaust_files", given(folder, "max_file_size: 1Mi", "file_ops: 100/s, open_files: 200"))
    await stage.contained("exhaust_files__open-until-error", check, repeats=2, mount="/w", path="x", most=150)
