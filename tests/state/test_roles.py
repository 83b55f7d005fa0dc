"""Roles given and stops made at run time, in every store: sealed, seen by every process, and over restarts."""

from __future__ import annotations

import pytest

from sandbox.errors import HostUnavailable, SandboxError
from sandbox.state import EVERYTHING, Assignment, Stop, Store, roles
from tests.state.places import Place
from tests.state.test_store import NOW

ANALYST = Assignment("user-123", "analyst", "ann", NOW)


def fail() -> None:
    raise HostUnavailable("no record")


def test_a_role_that_cannot_be_recorded_is_not_given(state: Store) -> None:
    with pytest.raises(HostUnavailable, match="no record"):
        state.assign_role(ANALYST, before_commit=fail)
    assert state.roles_of("user-123") == ()


def test_the_number_of_roles_is_bounded(state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "MAX_ASSIGNMENTS", 1)
    assert state.assign_role(ANALYST)
    assert not state.assign_role(ANALYST), "it has it already"
    with pytest.raises(SandboxError, match="no more are kept"):
        state.assign_role(Assignment("user-123", "viewer", "ann", NOW))
    assert state.roles_of("user-123") == ("analyst",)


def test_a_role_is_of_one_subject_and_can_be_taken(state: Store, place: Place) -> None:
    state.assign_role(ANALYST)
    state.assign_role(Assignment("user-124", "viewer", "ann", NOW))
    other = place.open("another")
    assert other.roles_of("user-123") == ("analyst",)
    assert other.roles_of("USER-123") == ()
    assert other.remove_role("user-123", "analyst", NOW) == ANALYST
    assert other.remove_role("user-123", "analyst", NOW) is None
    assert state.roles_of("user-123") == ()
    assert [one.subject for one in state.assignments()] == ["user-124"]


def test_a_stop_holds_for_every_process_until_it_is_resumed(state: Store, place: Place) -> None:
    state.stop(Stop("session-1", "ann", "it runs wild", NOW))
    other = place.open("another")
    assert other.stopped("session-1") == Stop("session-1", "ann", "it runs wild", NOW)
    assert other.stopped("session-2") is None
    assert other.stopped() is None
    other.stop(Stop(EVERYTHING, "bob", "", NOW + 1))
    assert [state.stopped(session) is not None for session in (None, "session-1", "session-2")] == [True] * 3
    assert state.resume(EVERYTHING, NOW + 2) is not None
    assert state.resume(EVERYTHING, NOW + 2) is None
    assert [state.stopped(session) is not None for session in (None, "session-1", "session-2")] == [False, True, False]


def test_a_resume_that_cannot_be_recorded_resumes_nothing(state: Store) -> None:
    state.stop(Stop(EVERYTHING, "ann", "", NOW))
    with pytest.raises(HostUnavailable, match="no record"):
        state.resume(EVERYTHING, NOW, before_commit=fail)
    assert state.stopped() is not None


def test_a_stop_that_is_made_again_keeps_who_made_it_first(state: Store) -> None:
    first = state.stop(Stop(EVERYTHING, "ann", "first", NOW))
    assert state.stop(Stop(EVERYTHING, "bob", "second", NOW + 1)) == first
    assert state.stops() == (first,)


def test_every_one_of_these_changes_raises_the_generation(state: Store, place: Place) -> None:
    other = place.open("another")
    seen = [other.generation()]
    for change in (
        lambda: state.assign_role(ANALYST),
        lambda: state.remove_role("user-123", "analyst", NOW),
        lambda: state.stop(Stop(EVERYTHING, "ann", "", NOW)),
        lambda: state.resume(EVERYTHING, NOW),
    ):
        change()
        seen.append(other.generation())
    assert seen == sorted(set(seen))
