"""How far the record has come is noted outside of its folder: what is put back from a copy, or emptied, is found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.audit import AuditLog, Damage, Event, EventType, Keys, Redactor, Terms, records, verify
from sandbox.audit.noted import Noted, note, noted
from sandbox.audit.seals import JOURNAL
from sandbox.errors import HostUnavailable
from tests.audit.test_terms import DAY, Clock, days

Back = Callable[[Path, Path], object]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(b"m" * 32, note=tmp_path / "noted")


@pytest.fixture
def log(tmp_path: Path, clock: Clock, keys: Keys) -> Iterator[AuditLog]:
    log = opened(tmp_path, clock, keys)
    yield log
    log.close()


def opened(tmp_path: Path, clock: Clock, keys: Keys) -> AuditLog:
    return AuditLog(tmp_path / "audit", clock=clock, source="test", keys=keys)


def write(log: AuditLog, count: int = 1, keep_s: float | None = None) -> None:
    for _ in range(count):
        log.append(Event(EventType.TOOL_INVOKE, "0" * 32, tool="a__b", keep_s=keep_s), Redactor())


def whole_folder(folder: Path, old: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(old, folder)


def emptied(folder: Path, _: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def in_place(folder: Path, old: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes((old / file.name).read_bytes())


@pytest.mark.parametrize("back", [whole_folder, emptied, in_place])
def test_an_old_copy_that_is_put_back_is_found_and_stays_so(
    tmp_path: Path, clock: Clock, keys: Keys, log: AuditLog, back: Back
) -> None:
    write(log, 3)
    shutil.copytree(log.folder, tmp_path / "old")
    write(log, 3)
    log.close()
    assert verify(log.folder, keys).ok
    back(log.folder, tmp_path / "old")
    kept = 0 if back is emptied else 3
    again = opened(tmp_path, clock, keys)
    for _ in range(2):
        fault = verify(log.folder, keys).fault
        assert fault is not None
        assert (fault.seq, fault.damage, "and all up to 6" in fault.message) == (kept + 1, Damage.CUT, True)
        write(again)
    again.close()
    found = list(records(log.folder, keys))[kept:]
    assert [(each["seq"], each["event"]) for each in found[:1]] == [(7, "security_alert")]


def test_who_writes_finds_that_the_files_went_back_under_it(tmp_path: Path, keys: Keys, log: AuditLog) -> None:
    write(log, 3)
    shutil.copytree(log.folder, tmp_path / "old")
    write(log, 3)
    in_place(log.folder, tmp_path / "old")
    write(log)
    assert [each["event"] for each in records(log.folder, keys)][3:] == ["security_alert", "tool_invoke"]
    assert not verify(log.folder, keys).ok


def test_a_chain_that_was_made_anew_is_found_also_where_the_head_was_emptied(tmp_path: Path, clock: Clock) -> None:
    keys, folder = Keys(b"m" * 32), tmp_path / "audit"
    for own in (keys, Keys()):
        log = AuditLog(folder if own is keys else tmp_path / "forged", clock=clock, source="test", keys=own)
        write(log, 3)
        log.close()
    (day,) = folder.glob("*.jsonl")
    day.write_bytes((tmp_path / "forged" / day.name).read_bytes())
    (folder / "head").write_bytes(b"")
    log = opened(tmp_path, clock, keys)
    write(log)
    log.close()
    assert not verify(folder, keys).ok


def test_a_writer_that_died_before_the_head_is_no_old_copy(log: AuditLog, keys: Keys) -> None:
    write(log, 2)
    head = (log.folder / "head").read_bytes()
    write(log)
    (log.folder / "head").write_bytes(head)
    write(log)
    assert (verify(log.folder, keys).ok, verify(log.folder, keys).records) == (True, 4)


def test_by_a_journal_without_its_end_nothing_goes(log: AuditLog, clock: Clock, keys: Keys) -> None:
    """Else a day that a rule wants kept would go: only its seal knows that."""
    log.hold(Terms(retention_s=DAY))
    write(log, keep_s=300 * DAY)
    write(log)
    clock.now += DAY
    write(log)
    (log.folder / JOURNAL).unlink()
    fault = verify(log.folder, keys).fault
    assert fault is not None
    assert (fault.file, fault.damage) == (JOURNAL, Damage.CUT)
    clock.now += 5 * DAY
    write(log)
    assert len(days(log)) == 3
    assert not verify(log.folder, keys).ok


def test_a_file_of_no_day_stops_no_record(log: AuditLog, clock: Clock, keys: Keys) -> None:
    log.hold(Terms(retention_s=DAY))
    (log.folder / "2020-99-99.jsonl").touch(mode=0o600)
    for _ in range(3):
        write(log)
        clock.now += 2 * DAY
    assert (days(log)[0], verify(log.folder, keys).ok) == ("2020-99-99.jsonl", True)


def test_a_note_only_grows_and_one_that_is_not_ours_is_refused(log: AuditLog, keys: Keys) -> None:
    write(log, 2)
    log.close()
    assert noted(keys).seq == 2
    note(keys, seq=1, digest="d")
    assert (noted(keys).seq, noted(Keys())) == (2, Noted())
    assert keys.note is not None
    assert keys.note.stat().st_mode & 0o777 == 0o600
    for text in (b"[9]", os.urandom(40), keys.note.read_bytes().replace(b"[2,", b"[9,")):
        keys.note.write_bytes(text)
        with pytest.raises(HostUnavailable, match="is not what this host noted"):
            verify(log.folder, keys)
