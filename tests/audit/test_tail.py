"""The end of the record: the last entries, whatever lies before them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.audit.tail import tail
from sandbox.errors import HostUnavailable


def write(folder: Path, name: str, *numbers: int, fill: int = 0) -> None:
    lines = [json.dumps({"seq": number, "kind": number % 2, "fill": "x" * fill}) for number in numbers]
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [record["seq"] for record in found]


def everything(record: dict[str, Any]) -> bool:
    return True


def test_a_line_that_is_half_or_none_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01.jsonl", 1, 2)
    with (tmp_path / "2026-01-01.jsonl").open("a") as file:
        file.write('[1]\nnot json\n{"seq": 3, "ki')
    assert numbers(tail(tmp_path, 10, everything)) == [1, 2]


def test_an_empty_folder_has_no_end(tmp_path: Path) -> None:
    assert tail(tmp_path, 10, everything) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "other", 1)
    (tmp_path / "2026-01-01.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(HostUnavailable, match="symbolic"):
        tail(tmp_path, 10, everything)


def test_the_last_ones_come_in_order_over_several_days(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01.jsonl", 1, 2, 3)
    write(tmp_path, "2026-01-02.jsonl", 4, 5)
    assert numbers(tail(tmp_path, 4, everything)) == [2, 3, 4, 5]
    assert numbers(tail(tmp_path, 2, lambda record: record["kind"] == 1)) == [3, 5]
    assert numbers(tail(tmp_path, 10, everything)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fill", [10, 50_000, 200_000])
def test_lines_longer_than_a_block_are_whole(tmp_path: Path, fill: int) -> None:
    write(tmp_path, "2026-01-01.jsonl", *range(1, 8), fill=fill)
    assert numbers(tail(tmp_path, 5, everything)) == [3, 4, 5, 6, 7]


def test_a_long_record_is_not_read_to_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.audit.tail.MAX_READ", 100 << 10)
    write(tmp_path, "2026-01-01.jsonl", *range(1, 100))
    write(tmp_path, "2026-01-02.jsonl", *range(100, 110), fill=20_000)
    found = numbers(tail(tmp_path, 1000, everything))
    assert found == [105, 106, 107, 108, 109]
