"""Approvals in every store: bounded, sealed, and of ten that take one exactly one gets it."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.admission.approval import Approval, ApprovalError, Approver, State, allowed, denied, used, withdrawn
from sandbox.errors import Code, HostUnavailable, NotFound
from sandbox.state import Store, approvals
from sandbox.state.authentic import SEALED, StoreChangedError
from sandbox.state.hidden import Hidden
from tests.admission.test_approval import BOUND
from tests.state.places import Place, forked
from tests.state.test_store import NOW

ANN = Approver("ann")


def made(number: int = 0, subject: str = "agent", at: float = NOW) -> Approval:
    bound = replace(BOUND, subject=subject, arguments_digest=f"{number:064}")
    return Approval(f"a-{number:032x}", bound, "why", "r", None, 2, at, at + 60, sealed="hidden")


def of_tenant(approval: Approval, tenant: str | None) -> Approval:
    return replace(approval, bound=replace(approval.bound, tenant=tenant))


def asked(state: Store, approval: Approval) -> Approval:
    return state.request_approval(approval, before_commit=lambda _: None)


def change(state: Store, approval: Approval, step: object, **told: object) -> Approval:
    return state.change_approval(approval.id, lambda one: step(one, **told), NOW, before_commit=lambda _: None)  # type: ignore[operator]


def fail(_: Approval) -> None:
    raise HostUnavailable("no record")


def test_what_cannot_be_recorded_is_neither_asked_nor_answered_nor_used(state: Store) -> None:
    with pytest.raises(HostUnavailable, match="no record"):
        state.request_approval(made(), before_commit=fail)
    assert state.approvals() == ()
    asked(state, made())
    with pytest.raises(HostUnavailable, match="no record"):
        state.change_approval(made().id, lambda one: allowed(one, ANN, NOW), NOW, before_commit=fail)
    assert state.approval(made().id).state is State.PENDING


def test_how_much_is_pending_is_bounded_of_a_subject_and_in_all(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """ADM-09."""
    monkeypatch.setattr(approvals, "MAX_OF_SUBJECT", 2)
    monkeypatch.setattr(approvals, "MAX_PENDING", 3)
    for number, subject in enumerate(("agent", "agent")):
        asked(state, made(number, subject))
    for subject in ("agent", "third"):
        with pytest.raises(ApprovalError, match="no more are kept") as refused:
            asked(state, made(9, subject))
        assert refused.value.code is Code.ACCESS_DENIED
        if subject == "agent":
            asked(state, made(2, "other"))
    change(state, made(0), denied, who=ANN, now=NOW)
    assert asked(state, made(9)).state is State.PENDING, "one that is answered makes room"


def test_one_that_is_withdrawn_makes_room_after_a_minute(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """ADM-09: who asks and takes back, over and over, is not served for ever."""
    monkeypatch.setattr(approvals, "MAX_OF_SUBJECT", 1)
    asked(state, made(0))
    change(state, made(0), withdrawn, who=ANN, now=NOW)
    with pytest.raises(ApprovalError, match="withdrawn just now"):
        asked(state, made(1))
    later = replace(made(1), requested_at=NOW + approvals.WITHDRAWN_S, expires_at=NOW + 2 * approvals.WITHDRAWN_S)
    assert asked(state, later).state is State.PENDING


def test_one_tenants_requests_take_no_place_of_anothers_and_tell_nothing_of_them(
    state: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADM-09: of a subject and a tenant, so that the same name elsewhere is somebody else; no tenant fills all places."""
    monkeypatch.setattr(approvals, "MAX_OF_SUBJECT", 2)
    monkeypatch.setattr(approvals, "MAX_OF_TENANT", 3)
    for number, subject in enumerate(("bob", "bob", "ann")):
        asked(state, of_tenant(made(number, subject), "red"))
    with pytest.raises(ApprovalError, match="2 approvals of `bob` are pending"):
        asked(state, of_tenant(made(9, "bob"), "red"))
    with pytest.raises(ApprovalError) as full:
        asked(state, of_tenant(made(9, "joe"), "red"))
    assert full.value.message == "too many approvals are pending, and no more are kept"
    for number, tenant in enumerate((None, "blue"), 20):
        assert asked(state, of_tenant(made(number, "bob"), tenant)).state is State.PENDING


def test_the_same_is_asked_once_however_often_it_is_asked_for(state: Store, place: Place) -> None:
    first = asked(state, made())
    again = replace(made(), id="a-" + "f" * 32)
    assert asked(place.open("another"), again) == first
    assert [one.id for one in state.approvals()] == [first.id]


def test_it_is_seen_and_answered_by_another_process_and_used_once(state: Store, place: Place) -> None:
    asked(state, made())
    other = place.open("another")
    yes = change(other, made(), allowed, who=ANN, now=NOW)
    assert (yes.state, yes.sealed) == (State.APPROVED, None)
    assert state.latest_approval(made().bound) == yes
    assert change(state, made(), used, request_id="r2", now=NOW).used_by == "r2"
    with pytest.raises(ApprovalError, match="is used already"):
        change(other, made(), used, request_id="r3", now=NOW)
    with pytest.raises(NotFound):
        state.approval("a-" + "0" * 31 + "9")


def test_what_nobody_answers_in_time_is_closed_once(state: Store, place: Place) -> None:
    asked(state, made())
    assert state.expire_approvals(NOW + 59, before_commit=lambda _: None) == ()
    (closed,) = place.open("another").expire_approvals(NOW + 60, before_commit=lambda _: None)
    assert (closed.state, closed.sealed) == (State.EXPIRED, None)
    assert state.expire_approvals(NOW + 60, before_commit=lambda _: None) == ()
    assert state.approvals(State.EXPIRED) == (closed,)


def test_of_what_is_closed_the_last_ones_are_kept_and_what_is_open_always(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "MAX_CLOSED", 2)
    asked(state, made(100))
    change(state, made(100), allowed, who=ANN, now=NOW)
    for number in range(4):
        asked(state, made(number, at=NOW + number))
        change(state, made(number), denied, who=ANN, now=NOW + number)
    asked(state, made(200, at=NOW + 5))
    assert {one.id for one in state.approvals()} == {made(number).id for number in (2, 3, 100, 200)}


def test_ten_processes_that_take_one_approval_are_one_that_gets_it(place: Place) -> None:
    """ADM-07: used in one step."""
    state = place.open()
    asked(state, made())
    change(state, made(), allowed, who=ANN, now=NOW)
    if place.kind == "memory":
        taken = [_take(state, f"r{number}") for number in range(10)]
    else:
        folder = place.folder
        children = [forked(lambda number=number: _took(place, folder / f"took-{number}", f"r{number}")) for number in range(10)]  # type: ignore[misc]
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
        taken = [(folder / f"took-{number}").exists() for number in range(10)]
    assert sum(taken) == 1
    assert place.open("another").approval(made().id).state is State.USED


def _take(state: Store, request_id: str) -> bool:
    try:
        change(state, made(), used, request_id=request_id, now=NOW)
    except ApprovalError:
        return False
    return True


def _took(place: Place, mark: Path, request_id: str) -> None:
    if _take(replace_opened(place).open("another"), request_id):
        mark.touch()


def replace_opened(place: Place) -> Place:
    """The same place, in a process that has nothing open."""
    return Place(place.kind, place.folder, place.server)


FORGED = {
    "its state": "UPDATE approvals SET state = 'approved', body = replace(body, '\"pending\"', '\"approved\"')",
    "whose it is": "UPDATE approvals SET subject = 'mallory', body = replace(body, '\"agent\"', '\"mallory\"')",
    "its time": "UPDATE approvals SET expires_at = 9e9",
    "its arguments, as though it were closed": "UPDATE approvals SET sealed = NULL",
    "a new one": "INSERT INTO approvals SELECT 'a-x', key, 'approved', subject, requested_at, 9e9, body, NULL FROM approvals",
}


def test_a_change_costs_the_same_however_long_the_arguments_are_that_wait(state: Store, place: Place) -> None:
    """ADM-09: what is sealed at every change holds no arguments, as they lie closed in their rows."""
    asked(state, replace(made(), sealed="c" * 80_000))
    assert state.approval(made().id).sealed == "c" * 80_000
    db = place.open("another")._tables.current()
    rows = [tuple(row) for row in db.execute(SEALED["approvals"])]
    assert [row[0] for row in rows] == [made().id]
    assert len(repr(rows)) < 2_000


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_a_row_that_was_forged_gives_nothing(tmp_path: Path, forged: str) -> None:
    """ADM-07: whoever edits the file approves nothing."""
    place = Place("sqlite", tmp_path)
    state = place.open()
    asked(state, made())
    with sqlite3.connect(tmp_path / "home/state/state.sqlite") as db:
        assert db.execute(forged).rowcount == 1
    for look in (lambda: state.latest_approval(made().bound), state.approvals, lambda: asked(state, made(7))):
        with pytest.raises(StoreChangedError):
            look()
    place.close()


def test_one_that_was_denied_or_used_cannot_be_opened_again_by_hand(tmp_path: Path) -> None:
    """What is closed is not sealed; made open, it is."""
    place = Place("sqlite", tmp_path)
    state = place.open()
    asked(state, made())
    change(state, made(), denied, who=ANN, now=NOW)
    with sqlite3.connect(tmp_path / "home/state/state.sqlite") as db:
        db.execute("UPDATE approvals SET state = 'approved', body = replace(body, '\"denied\"', '\"approved\"')")
    with pytest.raises(StoreChangedError):
        state.latest_approval(made().bound)
    place.close()


def test_a_store_of_before_there_were_approvals_is_taken_over(tmp_path: Path) -> None:
    place = Place("sqlite", tmp_path)
    state = place.open()
    asked(state, made())
    change(state, made(), denied, who=ANN, now=NOW)
    place.close()
    with sqlite3.connect(tmp_path / "home/state/state.sqlite") as db:
        db.execute("DROP TABLE approvals")
        db.execute("DELETE FROM seals WHERE name = 'approvals'")
        db.execute("PRAGMA user_version = 10")
    place.opened.clear()
    assert asked(place.open(), made(3)).id == made(3).id
    place.close()


def test_a_row_whose_columns_say_something_else_is_an_error() -> None:
    row = approvals._row(made())
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    names = ("id", "key", "state", "subject", "requested_at", "expires_at", "body", "sealed")
    for at, other in ((2, "approved"), (3, "mallory"), (5, 9e9), (6, json.dumps({"id": "x"}))):
        values = [*row[:at], other, *row[at + 1 :]]
        read = db.execute(f"SELECT {', '.join(f'? AS {name}' for name in names)}", values).fetchone()
        with pytest.raises(HostUnavailable):
            approvals.approval_of(read)
    db.close()


def test_hidden_arguments_are_shown_to_nobody_without_the_key(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    hidden = Hidden.by_user(environ).hide("a-1", NOW, "the arguments")
    assert "arguments" not in hidden
    assert Hidden.by_user(environ).show("a-1", NOW, hidden) == "the arguments"
    for other, name in ((Hidden.by_user(environ), "a-2"), (Hidden.here_alone(), "a-1")):
        with pytest.raises(HostUnavailable, match="cannot be read"):
            other.show(name, NOW, hidden)
