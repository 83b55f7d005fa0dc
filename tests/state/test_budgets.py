"""Budgets that were set at run time: kept on each store, sealed, and seen by whoever shares it."""

from __future__ import annotations

import pytest

from sandbox.errors import HostUnavailable, SandboxError
from sandbox.state import Store
from sandbox.state.budgets import SetBudget
from tests.state.places import SHARED, Place

ALICE, BOB = SetBudget("users/alice", "{}", "root", 5.0), SetBudget("users/bob", '{"max_cost": "1"}', "root", 6.5)


def test_a_set_budget_is_kept_until_it_is_dropped(state: Store) -> None:
    for budget in (SetBudget("users/bob", "old", "root", 1.0), BOB, ALICE):
        state.set_budget(budget)
    assert state.budgets() == (ALICE, BOB)
    assert state.drop_budget("users/bob", 7.0) == BOB
    assert state.drop_budget("users/bob", 7.0) is None
    assert state.budgets() == (ALICE,)


def test_every_change_raises_the_generation_so_that_servers_ask_again(state: Store) -> None:
    before = state.generation()
    state.set_budget(ALICE)
    state.drop_budget("users/alice", 7.0)
    assert state.generation() == before + 2


def test_what_cannot_be_recorded_is_not_set(state: Store) -> None:
    def fails() -> None:
        raise HostUnavailable("the record is full")

    with pytest.raises(HostUnavailable):
        state.set_budget(ALICE, before_commit=fails)
    assert state.budgets() == ()


def test_no_more_budgets_are_set_than_are_kept(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.state.budgets.MAX_BUDGETS", 1)
    state.set_budget(ALICE)
    state.set_budget(ALICE)
    with pytest.raises(SandboxError, match="budgets are set"):
        state.set_budget(BOB)
    assert state.budgets() == (ALICE,)


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_another_process_sees_a_set_budget(place: Place) -> None:
    place.open().set_budget(ALICE)
    assert place.open().budgets() == (ALICE,)
