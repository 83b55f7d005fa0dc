"""The chain: what was done to it is named, and without a record there is no call."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.audit import AuditLog, Damage, Event, EventType, Redactor, records, verify
from sandbox.errors import HostUnavailable

NOON = 1_800_000_000.0
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit", clock=clock, source="test")
    yield log
    log.close()


def write(log: AuditLog, count: int) -> None:
    for number in range(count):
        log.append(Event(EventType.TOOL_INVOKE, f"{number:032x}", tool=f"t{number}"), Redactor())


def only_file(log: AuditLog) -> Path:
    (path,) = log.folder.glob("*.jsonl")
    return path


def edit_third(lines: list[bytes]) -> None:
    lines[2] = lines[2].replace(b'"t2"', b'"tX"')


def renumber_third(lines: list[bytes]) -> None:
    lines[2] = lines[2].replace(b'"seq":3', b'"seq":7')


def scribble_third(lines: list[bytes]) -> None:
    lines[2] = b"\xff\n"


def delete_third(lines: list[bytes]) -> None:
    del lines[2]


def delete_two(lines: list[bytes]) -> None:
    del lines[2:4]


def delete_first(lines: list[bytes]) -> None:
    del lines[0]


def delete_last(lines: list[bytes]) -> None:
    del lines[-1]


def delete_all(lines: list[bytes]) -> None:
    lines.clear()


def swap_third_and_fourth(lines: list[bytes]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def double_third(lines: list[bytes]) -> None:
    lines.insert(3, lines[2])


def double_third_at_end(lines: list[bytes]) -> None:
    lines.append(lines[2])


def edit_last(lines: list[bytes]) -> None:
    lines[-1] = lines[-1].replace(b'"t5"', b'"tX"')


def forge_third_with_its_chain(lines: list[bytes]) -> None:
    """Whoever forges one record must forge all after it: here the fourth was not."""
    record = json.loads(lines[2])
    record["tool"] = "forged"
    lines[2] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("tamper", "damage", "seq"),
    [
        (edit_third, Damage.CHANGED, 3),
        (renumber_third, Damage.CHANGED, 3),
        (scribble_third, Damage.CHANGED, 3),
        (forge_third_with_its_chain, Damage.CHANGED, 3),
        (edit_last, Damage.CHANGED, 6),
        (delete_third, Damage.CUT, 3),
        (delete_two, Damage.CUT, 3),
        (delete_first, Damage.CUT, 1),
        (delete_last, Damage.CUT, 6),
        (delete_all, Damage.CUT, 1),
        (swap_third_and_fourth, Damage.REORDERED, 3),
        (double_third, Damage.DUPLICATED, 3),
        (double_third_at_end, Damage.DUPLICATED, 3),
    ],
)
def test_tampering_is_named(log: AuditLog, tamper: Callable[[list[bytes]], None], damage: Damage, seq: int) -> None:
    write(log, 6)
    lines = only_file(log).read_bytes().splitlines(keepends=True)
    tamper(lines)
    only_file(log).write_bytes(b"".join(lines))
    fault = verify(log.folder).fault
    assert fault is not None
    assert (fault.damage, fault.seq) == (damage, seq), fault.message
    assert f"record {seq} " in fault.message


def test_a_whole_day_that_is_gone_is_named(log: AuditLog, clock: Clock) -> None:
    for _ in range(3):
        write(log, 2)
        clock.now += DAY
    sorted(log.folder.glob("*.jsonl"))[1].unlink()
    fault = verify(log.folder).fault
    assert fault is not None
    assert (fault.damage, fault.seq) == (Damage.CUT, 3)


def test_a_head_that_is_gone_is_no_clean_chain(log: AuditLog) -> None:
    write(log, 2)
    (log.folder / "head").unlink()
    assert not verify(log.folder).ok


def test_the_end_cut_off_is_still_missing_after_further_records(log: AuditLog) -> None:
    write(log, 6)
    lines = only_file(log).read_bytes().splitlines(keepends=True)
    only_file(log).write_bytes(b"".join(lines[:4]))
    write(log, 2)
    fault = verify(log.folder).fault
    assert fault is not None
    assert (fault.damage, fault.seq) == (Damage.CUT, 5)
    assert [record["event"] for record in records(log.folder)][4] == "security_alert"


def test_an_untouched_chain_holds_over_days_and_openings(log: AuditLog, clock: Clock) -> None:
    write(log, 3)
    clock.now += DAY
    write(log, 3)
    again = AuditLog(log.folder, clock=clock, source="test")
    write(again, 2)
    write(log, 1)
    again.close()
    assert (verify(log.folder).ok, verify(log.folder).records) == (True, 9)
    assert len(list(log.folder.glob("*.jsonl"))) == 2


def test_a_clock_set_back_does_not_split_a_day(log: AuditLog, clock: Clock) -> None:
    write(log, 2)
    clock.now -= 3 * DAY
    write(log, 2)
    assert verify(log.folder).ok
    assert len(list(log.folder.glob("*.jsonl"))) == 1


def test_an_empty_chain_holds(log: AuditLog) -> None:
    assert (verify(log.folder).ok, verify(log.folder).records) == (True, 0)


def test_a_line_half_written_by_a_killed_process_is_cut_and_alerted(log: AuditLog) -> None:
    write(log, 2)
    with only_file(log).open("ab") as file:
        file.write(b'{"half":')
    write(log, 1)
    assert verify(log.folder).ok
    alert = [record for record in records(log.folder) if record["event"] == "security_alert"]
    assert [record["detail"]["torn_bytes"] for record in alert] == [8]
    assert alert[0]["severity"] == "critical"


def test_a_process_killed_between_line_and_head_loses_nothing(log: AuditLog, clock: Clock) -> None:
    write(log, 2)
    head = (log.folder / "head").read_bytes()
    write(log, 1)
    (log.folder / "head").write_bytes(head)
    write(log, 1)
    assert (verify(log.folder).ok, verify(log.folder).records) == (True, 4)
    clock.now += DAY
    head = (log.folder / "head").read_bytes()
    write(log, 1)
    (log.folder / "head").write_bytes(head)
    write(log, 1)
    assert (verify(log.folder).ok, verify(log.folder).records) == (True, 6)


WRITER = """
import sys, time
from pathlib import Path
from sandbox.audit import AuditLog, Event, EventType, Redactor
log = AuditLog(Path(sys.argv[1]), clock=time.time, source=sys.argv[2])
for number in range(int(sys.argv[3])):
    log.append(Event(EventType.TOOL_INVOKE, "0" * 32, tool=f"{sys.argv[2]}{number}"), Redactor())
    if number == 5:
        print("going", flush=True)
"""


def test_processes_that_write_at_once_share_one_chain(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, folder, name, "200"], stdout=subprocess.DEVNULL) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert (verify(folder).ok, verify(folder).records) == (True, 600)
    sources = [record["source"] for record in records(folder)]
    assert {sources.count(name) for name in "abc"} == {200}


def test_a_writer_killed_at_any_moment_leaves_a_chain_that_holds(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    for name in "abc":
        with subprocess.Popen([sys.executable, "-c", WRITER, folder, name, "1000000"], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
    log = AuditLog(folder, clock=Clock(), source="test")
    write(log, 1)
    log.close()
    assert verify(folder).ok
    assert verify(folder).records > 18


def test_a_full_disk_refuses_and_leaves_no_half_line(log: AuditLog) -> None:
    write(log, 2)
    size = only_file(log).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        with pytest.raises(HostUnavailable, match="the record cannot be written"):
            write(log, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert only_file(log).stat().st_size == size
    write(log, 1)
    assert (verify(log.folder).ok, verify(log.folder).records) == (True, 3)


def test_a_folder_taken_away_refuses(log: AuditLog) -> None:
    write(log, 1)
    log.folder.rename(log.folder.with_name("elsewhere"))
    log.folder.mkdir(mode=0o700)
    for path in log.folder.with_name("elsewhere").iterdir():
        path.unlink()
    with pytest.raises(HostUnavailable, match="cannot be written"):
        write(log, 1)
    (log.folder / "head").touch()
    with pytest.raises(HostUnavailable, match="taken away"):
        write(log, 1)


def test_a_lock_that_another_process_keeps_refuses(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.audit.log.LOCK_WITHIN_S", 0.02)
    other = os.open(log.folder / "head", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(HostUnavailable, match="keeps the record's lock"):
        write(log, 1)
    os.close(other)
    write(log, 1)
    assert verify(log.folder).records == 1


def test_a_closed_log_refuses(log: AuditLog) -> None:
    log.close()
    with pytest.raises(HostUnavailable, match="closed"):
        write(log, 1)


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path, clock: Clock) -> None:
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / "audit").mkdir(mode=0o700)
    (tmp_path / "audit" / "head").symlink_to(target)
    with pytest.raises(HostUnavailable):
        AuditLog(tmp_path / "audit", clock=clock, source="test")
    (tmp_path / "audit" / "head").unlink()
    log = AuditLog(tmp_path / "audit", clock=clock, source="test")
    os.link(target, tmp_path / "audit" / "2027-01-15.jsonl")
    with pytest.raises(HostUnavailable, match="one name"):
        write(log, 1)
    log.close()
    assert target.read_text() == ""


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit").chmod(0o720)
    with pytest.raises(HostUnavailable, match="written by others"):
        AuditLog(tmp_path / "audit", clock=clock, source="test")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(HostUnavailable):
        AuditLog(tmp_path / "link", clock=clock, source="test")


def test_files_and_folder_are_this_users_alone(log: AuditLog) -> None:
    write(log, 1)
    assert stat.S_IMODE(log.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.folder.iterdir()} == {0o600}
