"""The server's accounts of what lies in a tree: of several calls, of what others did, and of what a worker may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.host.measure import BLOCK
from sandbox.host.trees import Trees
from sandbox.template.template import Access, Effect, FileRule, WasiTemplate

MOST = 10 * BLOCK


@pytest.fixture
def template(tmp_path: Path) -> WasiTemplate:
    """One tree of ten blocks."""
    return WasiTemplate(files=(FileRule(Effect.ALLOW, f"{tmp_path}/**", Access.ALL, "p.yaml:5:9", None, MOST),))


async def test_a_template_without_a_total_has_no_account() -> None:
    trees = Trees()
    assert await trees.begin(WasiTemplate(files=(FileRule(Effect.ALLOW, "/srv/**", Access.ALL, ""),)), "a") == []
    assert trees.grown("a", [[0, 1 << 40]]) is None
    trees.end("a", {})


async def test_a_call_is_told_what_lies_there_and_what_others_add(template: WasiTemplate, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(bytes(2 * BLOCK))
    trees = Trees()
    assert await trees.begin(template, "a") == [(0, 2 * BLOCK)]
    assert trees.grown("a", [[0, 3 * BLOCK]]) is None
    assert await trees.begin(template, "b") == [(0, 5 * BLOCK)]


async def test_calls_that_have_grown_too_much_together_are_ended(template: WasiTemplate) -> None:
    """The one that reports growth, with the limit, its value and its line; one that only removes is not."""
    trees = Trees()
    for call in "abc":
        await trees.begin(template, call)
    assert trees.grown("a", [[0, 6 * BLOCK]]) is None
    assert trees.grown("b", [[0, 4 * BLOCK]]) is None
    assert trees.grown("b", [[0, 5 * BLOCK]]) == "`max_total_size` of 40Ki was reached (p.yaml:5:9)"
    assert trees.grown("c", [[0, 0]]) is None


async def test_what_a_call_stored_stays_in_the_account(template: WasiTemplate) -> None:
    trees = Trees()
    await trees.begin(template, "a")
    trees.end("a", {"stored": [[0, 4 * BLOCK]]})
    assert await trees.begin(template, "b") == [(0, 4 * BLOCK)]


async def test_a_call_without_a_last_word_has_its_tree_measured(template: WasiTemplate, tmp_path: Path) -> None:
    """Its worker was killed, and stored what it had not told yet."""
    trees = Trees()
    await trees.begin(template, "a")
    trees.grown("a", [[0, BLOCK]])
    (tmp_path / "unsaid").write_bytes(bytes(3 * BLOCK))
    trees.end("a", None)
    assert await trees.begin(template, "b") == [(0, 3 * BLOCK)]


async def test_a_full_tree_is_measured_before_it_is_called_full(template: WasiTemplate, tmp_path: Path) -> None:
    trees = Trees()
    (tmp_path / "big").write_bytes(bytes(MOST))
    assert await trees.begin(template, "a") == [(0, MOST)]
    trees.end("a", {})
    (tmp_path / "big").unlink()
    assert await trees.begin(template, "b") == [(0, 0)]


async def test_what_running_calls_had_stored_is_not_counted_twice(template: WasiTemplate, tmp_path: Path) -> None:
    """A measurement sees it on the disk already."""
    trees = Trees()
    await trees.begin(template, "a")
    (tmp_path / "grown").write_bytes(bytes(6 * BLOCK))
    trees.grown("a", [[0, 6 * BLOCK]])
    await trees.begin(template, "b")
    trees.end("b", None)
    assert await trees.begin(template, "c") == [(0, 6 * BLOCK)]


@pytest.mark.parametrize("stored", [None, 5, [5], [[0]], [["0", 1]], [[0, "much"]], {"0": 1}])
async def test_what_no_worker_says_is_refused_and_measured(template: WasiTemplate, tmp_path: Path, stored: Any) -> None:
    """From a worker that was taken over: it is ended, and the account says what there is."""
    trees = Trees()
    await trees.begin(template, "a")
    with pytest.raises((TypeError, ValueError)):
        trees.grown("a", stored)
    (tmp_path / "there").write_bytes(bytes(2 * BLOCK))
    trees.end("a", {"stored": stored})
    assert await trees.begin(template, "b") == [(0, 2 * BLOCK)]


async def test_trees_that_are_not_there_are_of_nobody(template: WasiTemplate) -> None:
    """A worker may name any number; and say that it made room which was never taken."""
    trees = Trees()
    await trees.begin(template, "a")
    assert trees.grown("a", [[7, 1 << 40], [-1, 1 << 40], [0, -(1 << 50)]]) is None
    assert await trees.begin(template, "b") == [(0, 0)]
