"""What follows what in the life of an approval, and whose answer counts: nothing but what the table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from sandbox.admission.approval import (
    TRANSITIONS,
    Approval,
    ApprovalError,
    Approver,
    Bound,
    Move,
    State,
    allowed,
    denied,
    expired,
    moved,
    new_approval_id,
    question_of,
    used,
    withdrawn,
)
from sandbox.errors import Code

NOW = 1_000.0
BOUND = Bound(
    "agent", None, (), "deploy__run", "", "", "deploy", "d" * 64, "a" * 64, "g" * 64, "doc", ("ask",), (), four_eyes=False
)
ANN, BOB = Approver("ann", frozenset({"admin"})), Approver("bob", frozenset({"admin"}))


def approval(state: State = State.PENDING, *, four_eyes: bool = False, roles: tuple[str, ...] = ()) -> Approval:
    bound = replace(BOUND, four_eyes=four_eyes, approver_roles=roles)
    return Approval(new_approval_id(), bound, "it is production", "r", "s", 2, NOW, NOW + 60, state, sealed="hidden")


LEGAL = {
    (State.PENDING, Move.APPROVE): State.APPROVED,
    (State.PENDING, Move.DENY): State.DENIED,
    (State.PENDING, Move.EXPIRE): State.EXPIRED,
    (State.PENDING, Move.WITHDRAW): State.WITHDRAWN,
    (State.APPROVED, Move.USE): State.USED,
}
STEPS: dict[Move, Callable[[Approval], Approval]] = {
    Move.APPROVE: lambda one: allowed(one, ANN, NOW),
    Move.DENY: lambda one: denied(one, ANN, NOW),
    Move.EXPIRE: lambda one: expired(one, NOW + 60),
    Move.WITHDRAW: lambda one: withdrawn(one, ANN, NOW),
    Move.USE: lambda one: used(one, "r2", NOW),
}


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_every_state_and_every_event_does_what_the_table_says_and_nothing_else(state: State, move: Move) -> None:
    assert TRANSITIONS == LEGAL
    expected = LEGAL.get((state, move))
    for step in (STEPS[move], lambda one: moved(one, move)):
        if expected is not None:
            assert step(approval(state)).state is expected
            continue
        with pytest.raises(ApprovalError, match=f"is {state.value} already") as refused:
            step(approval(state))
        assert refused.value.code is Code.NO_LONGER_PENDING


@pytest.mark.parametrize("move", [Move.APPROVE, Move.DENY, Move.WITHDRAW])
def test_past_its_time_nobody_answers(move: Move) -> None:
    late = {
        Move.APPROVE: lambda one: allowed(one, ANN, NOW + 60),
        Move.DENY: lambda one: denied(one, ANN, NOW + 60),
        Move.WITHDRAW: lambda one: withdrawn(one, ANN, NOW + 60),
    }
    with pytest.raises(ApprovalError, match="is over") as refused:
        late[move](approval())
    assert refused.value.code is Code.NO_LONGER_PENDING


def test_past_its_time_an_approved_one_is_not_used_and_before_it_none_expires() -> None:
    with pytest.raises(ApprovalError, match="is over"):
        used(allowed(approval(), ANN, NOW), "r2", NOW + 60)
    with pytest.raises(ApprovalError, match="is open still"):
        expired(approval(), NOW + 59)


def test_nobody_answers_what_he_asked_for() -> None:
    """ADM-07."""
    asker = Approver("agent", frozenset({"admin"}))
    for step in (allowed, denied):
        with pytest.raises(ApprovalError, match="nobody answers in his own name") as refused:
            step(approval(), asker, NOW)
        assert refused.value.code is Code.NOT_YOURS_TO_ANSWER


def test_whoever_answers_has_the_approvers_role() -> None:
    for step in (allowed, denied):
        with pytest.raises(ApprovalError, match="does not have the role `boss`"):
            step(approval(roles=("boss",)), ANN, NOW)
    assert allowed(approval(roles=("admin",)), ANN, NOW).state is State.APPROVED


def test_of_several_roles_each_has_to_say_yes() -> None:
    boss = Approver("eve", frozenset({"boss"}))
    one = allowed(approval(roles=("admin", "boss")), ANN, NOW)
    assert (one.state, one.missing_roles, one.sealed) == (State.PENDING, ("boss",), "hidden")
    assert allowed(one, boss, NOW).state is State.APPROVED
    both = Approver("joe", frozenset({"admin", "boss"}))
    assert allowed(approval(roles=("admin", "boss")), both, NOW).state is State.APPROVED


def test_four_eyes_are_two_different_people() -> None:
    one = allowed(approval(four_eyes=True), ANN, NOW, "looks right")
    assert one.state is State.PENDING
    with pytest.raises(ApprovalError, match="has said yes already"):
        allowed(one, ANN, NOW)
    two = allowed(one, BOB, NOW)
    assert (two.state, [yes.who for yes in two.yeses]) == (State.APPROVED, ["ann", "bob"])
    assert denied(one, BOB, NOW).state is State.DENIED, "one no is enough"


@pytest.mark.parametrize("move", [Move.APPROVE, Move.DENY, Move.EXPIRE, Move.WITHDRAW])
def test_its_arguments_are_erased_with_the_answer(move: Move) -> None:
    assert STEPS[move](approval()).sealed is None


def test_an_id_cannot_be_guessed() -> None:
    """ADM-07: 128 random bits."""
    ids = {new_approval_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(bytes.fromhex(each.removeprefix("a-"))) == 16 for each in ids)


def test_what_is_asked_shows_the_arguments_escaped_whole_and_with_their_length() -> None:
    arguments = '{"x":"\\u001b[2J\\u202e' + "y" * 5000 + '\x7f"}'
    text = question_of(replace(approval(four_eyes=True), length=len(arguments)), arguments)
    assert f"({len(arguments)} bytes)" in text
    assert "y" * 5000 + "\\u007f" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "of two different people" in text


@pytest.mark.parametrize("name", list(Bound.__dataclass_fields__))
def test_another_one_of_anything_is_another_request(name: str) -> None:
    other: Any = {"four_eyes": True}.get(name, ("x",) if isinstance(getattr(BOUND, name), tuple) else "x")
    assert replace(BOUND, **{name: other}).key != BOUND.key
