"""What an admission document says of the record holds: how much it says, how long days stay, that nobody else reads it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.admission import Authorizer, CallRequest, Subject, new_request_id
from sandbox.admission.document.extending import over
from sandbox.admission.document.load import load_admission
from sandbox.admission.document.models import AdmissionDocument, Kept
from sandbox.audit import AuditLog, AuditQuery, Damage, Event, EventType, Keys, Redactor, Terms, ask, records, verify
from sandbox.audit.asked import asked
from sandbox.audit.flood import BURST
from sandbox.audit.seals import JOURNAL
from sandbox.audit.terms import terms_of, wanted_of
from sandbox.errors import HostUnavailable, PolicyError
from sandbox.guarding import Guard
from tests.admission.test_enforcement import keys

DAY = 86_400.0
NOON = 1_800_014_400.0
MARKS = Keys(b"m" * 32, lambda: b"l" * 32)
OTHER = Keys(b"m" * 32, lambda: b"o" * 32)
CANARY = "what nobody else may read"


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[AuditLog]:
    log = AuditLog(tmp_path / "audit", clock=clock, source="test", keys=MARKS)
    yield log
    log.close()


def document(text: str) -> AdmissionDocument:
    return load_admission(f'version: "1.0"\ntemplate: permissive\n{text}\n', file="a.yaml")


def held(log: AuditLog, text: str) -> Authorizer:
    authorizer = Authorizer(document(text), handles={"retention", "log_level"})
    log.hold(terms_of(authorizer))
    return authorizer


def write(log: AuditLog, number: int = 0, **told: Any) -> None:
    everything = {"arguments": {"x": CANARY}, "stdout": CANARY, "stderr": CANARY, "user_agent": CANARY, "address": "192.0.2.1"}
    log.append(Event(EventType.TOOL_SUCCESS, f"{number:032x}", **{**everything, **told}), Redactor())


def days(log: AuditLog) -> list[str]:
    return sorted(path.name for path in log.folder.glob("*.jsonl"))


def kept_fields(record: dict[str, Any]) -> set[str]:
    return {name for name in ("arguments", "stdout", "stderr", "user_agent", "address") if record[name]}


ALL = {"arguments", "stdout", "stderr", "user_agent", "address"}


@pytest.mark.parametrize(
    ("level", "wanted", "kept"),
    [
        ("minimal", None, set()),
        ("standard", None, {"arguments", "user_agent", "address"}),
        ("detailed", None, ALL),
        ("minimal", "detailed", ALL),
        ("detailed", "minimal", ALL),
    ],
)
def test_a_level_leaves_out_what_it_says_and_a_rule_only_adds(
    log: AuditLog, level: str, wanted: str | None, kept: set[str]
) -> None:
    held(log, f"audit: {{level: {level}}}")
    write(log, level=wanted)
    (record,) = records(log.folder, MARKS)
    assert kept_fields(record) == kept


@pytest.mark.parametrize(("level", "told"), [("minimal", {"trace": "t"}), ("standard", None)])
def test_what_is_left_out_is_not_said_in_another_place(log: AuditLog, level: str, told: dict[str, str] | None) -> None:
    held(log, f"audit: {{level: {level}}}")
    said = {"address": "10.0.0.1", "user_agent": "agent/1", "trace": "t"}
    write(log, detail={"asked": {"roles": ["a"], "metadata": said}})
    (record,) = records(log.folder, MARKS)
    assert record["detail"] == {"asked": {"roles": ["a"], "metadata": told or said}}


def test_the_summary_of_a_flood_is_kept_as_long_as_what_it_counts(log: AuditLog) -> None:
    for _ in range(BURST + 2):
        log.refused(Event(EventType.ACCESS_DENIED, "0" * 32, subject="mallory", decision="deny", keep_s=10 * DAY), Redactor())
    log.close()
    assert {record["kept_until"] is None for record in records(log.folder, MARKS)} == {False}


def test_a_day_goes_when_its_time_is_over_and_its_seal_stays(log: AuditLog, clock: Clock) -> None:
    held(log, "audit: {retention: 2d}")
    for number in range(5):
        write(log, number)
        clock.now += DAY
    write(log, 5)
    assert days(log) == ["2027-01-18.jsonl", "2027-01-19.jsonl", "2027-01-20.jsonl"]
    found = verify(log.folder, MARKS)
    assert (found.fault, found.records, found.removed) == (None, 3, 3)
    assert [record["audit_id"] for record in records(log.folder, MARKS)] == [f"{number:032x}" for number in (3, 4, 5)]


def test_a_day_that_a_rule_wants_kept_stays_and_those_around_it_go(log: AuditLog, clock: Clock) -> None:
    text = "audit: {retention: 1d}\nrules: [{name: r, effect: allow, constraints: {retention: 30d}, when: {tool: a__b}}]"
    authorizer = held(log, text)
    for tool in ("a__c", "a__b", "a__c"):
        request = CallRequest(new_request_id(), Subject("ann", scopes=("tools:invoke",)), tool)
        decision = authorizer.evaluate(request)
        log.append(Event(EventType.TOOL_INVOKE, **asked(request), **wanted_of(decision)), Redactor())
        clock.now += DAY
    clock.now += 10 * DAY
    write(log, 9)
    assert days(log) == ["2027-01-16.jsonl", "2027-01-28.jsonl"]
    assert verify(log.folder, MARKS).fault is None
    clock.now += 20 * DAY
    write(log, 10)
    assert "2027-01-16.jsonl" not in days(log)
    assert verify(log.folder, MARKS).fault is None


def test_a_record_of_many_days_is_shortened_when_a_document_says_so(tmp_path: Path, log: AuditLog, clock: Clock) -> None:
    """Days that were over before there were seals are sealed first."""
    for number in range(4):
        write(log, number)
        clock.now += DAY
    (log.folder / JOURNAL).unlink()
    write(log, 4)
    held(log, "audit: {retention: 1d}")
    assert days(log) == ["2027-01-18.jsonl", "2027-01-19.jsonl"]
    assert verify(log.folder, MARKS).fault is None


def test_a_day_that_somebody_else_removed_is_named(log: AuditLog, clock: Clock) -> None:
    for number in range(3):
        write(log, number)
        clock.now += DAY
    (log.folder / "2027-01-15.jsonl").unlink()
    fault = verify(log.folder, MARKS).fault
    assert fault is not None
    assert (fault.damage, fault.seq) == (Damage.CUT, 1)


def removed_a_line(lines: list[bytes]) -> None:
    del lines[0]


def said_removed(lines: list[bytes]) -> None:
    told = json.loads(lines[0])
    lines.append(json.dumps({"removed": told["file"], "at": "", "prev": told["prev"], "mark": told["mark"]}).encode() + b"\n")


def changed_a_digest(lines: list[bytes]) -> None:
    lines[0] = lines[0].replace(b'"last": 1', b'"last": 2')


@pytest.mark.parametrize("tamper", [removed_a_line, said_removed, changed_a_digest])
def test_a_journal_that_somebody_else_wrote_is_named_and_nothing_goes_by_it(
    log: AuditLog, clock: Clock, tamper: Callable[[list[bytes]], None]
) -> None:
    for number in range(3):
        write(log, number)
        clock.now += DAY
    journal = log.folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    tamper(lines)
    journal.write_bytes(b"".join(lines))
    fault = verify(log.folder, MARKS).fault
    assert fault is not None
    assert fault.file == JOURNAL
    before = days(log)
    clock.now += 100 * DAY
    held(log, "audit: {retention: 1d}")
    assert days(log) == before


def test_a_chain_that_was_made_anew_without_the_key_is_named(tmp_path: Path, log: AuditLog, clock: Clock) -> None:
    write(log, 1)
    forged = AuditLog(tmp_path / "forged", clock=clock, source="test")
    for number in range(2):
        write(forged, number, tool="forged")
    forged.close()
    for path in forged.folder.iterdir():
        (log.folder / path.name).write_bytes(path.read_bytes())
    assert verify(forged.folder).ok
    fault = verify(log.folder, MARKS).fault
    assert fault is not None
    assert "not written with this host's key" in fault.message
    write(log, 2)
    assert not verify(log.folder, MARKS).ok, "nor when the host goes on writing"
    assert not verify(log.folder).ok, "which is seen without the key too"


def test_a_record_under_a_key_is_not_written_without_it(log: AuditLog, clock: Clock) -> None:
    write(log)
    with pytest.raises(HostUnavailable, match="marked with a key"):
        AuditLog(log.folder, clock=clock, source="test")


def test_nothing_of_an_encrypted_record_is_read_without_its_key(log: AuditLog, clock: Clock) -> None:
    write(log, 1)
    held(log, "audit: {encrypt: true}")
    write(log, 2, arguments={"y": "covered"})
    clock.now += DAY
    write(log, 3)
    text = b"".join(path.read_bytes() for path in log.folder.iterdir())
    assert b"covered" not in text
    assert text.count(CANARY.encode()) == 4, "the record before it was encrypted"
    assert [record["audit_id"] for record in records(log.folder, MARKS)] == [f"{number:032x}" for number in (1, 2, 3)]
    assert len(ask(log.folder, AuditQuery(audit_id=f"{2:032x}"), MARKS).records) == 1
    for wrong in (Keys(MARKS.marks), OTHER):
        with pytest.raises(HostUnavailable, match="encrypted"):
            list(records(log.folder, wrong))


def test_an_encrypted_record_is_verified_without_the_key_that_opens_it(log: AuditLog) -> None:
    held(log, "audit: {encrypt: true}")
    for number in range(4):
        write(log, number)
    assert verify(log.folder).ok
    assert verify(log.folder, Keys(MARKS.marks)).ok
    (path,) = log.folder.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    path.write_bytes(b"".join(lines))
    fault = verify(log.folder).fault
    assert fault is not None
    assert (fault.damage, fault.seq) == (Damage.REORDERED, 2)


def test_a_closed_line_opens_in_its_place_alone(log: AuditLog) -> None:
    line = MARKS.close(b'{"seq":7}\n', 7, "0" * 64)
    assert MARKS.opened(line) == b'{"seq":7}\n'
    for moved in (line.replace(b'"seq":7', b'"seq":8'), line.replace(b'"prev":"0', b'"prev":"1'), line[:-20] + b'"}\n'):
        with pytest.raises(HostUnavailable):
            MARKS.opened(moved)


def test_another_key_does_not_go_on_with_an_encrypted_record(log: AuditLog, clock: Clock) -> None:
    held(log, "audit: {encrypt: true}")
    write(log)
    again = AuditLog(log.folder, clock=clock, source="test", keys=OTHER)
    with pytest.raises(HostUnavailable, match="does not open"):
        again.hold(Terms(encrypt=True))
    again.close()


def test_a_record_without_a_key_is_not_said_to_be_encrypted(tmp_path: Path, clock: Clock) -> None:
    log = AuditLog(tmp_path / "plain", clock=clock, source="test")
    with pytest.raises(HostUnavailable, match="nobody named its key"):
        Guard(Authorizer(document("audit: {encrypt: true}")), log=log)
    log.close()


def test_a_writer_that_died_between_line_and_head_loses_nothing_of_an_encrypted_record(log: AuditLog, clock: Clock) -> None:
    held(log, "audit: {encrypt: true, retention: 1d}")
    write(log, 1)
    head = (log.folder / "head").read_bytes()
    write(log, 2, keep_s=30 * DAY)
    (log.folder / "head").write_bytes(head)
    write(log, 3)
    assert (verify(log.folder, MARKS).fault, verify(log.folder, MARKS).records) == (None, 3)
    clock.now += 3 * DAY
    write(log, 4)
    assert len(days(log)) == 2, "what the rule wants kept is not forgotten with the head"


WRITER = """
import sys, time
from pathlib import Path
from sandbox.audit import AuditLog, Event, EventType, Keys, Redactor, Terms
log = AuditLog(Path(sys.argv[1]), clock=time.time, source=sys.argv[2], keys=Keys(b"m" * 32, lambda: b"l" * 32))
log.hold(Terms(encrypt=True, retention_s=86400.0))
for number in range(int(sys.argv[3])):
    log.append(Event(EventType.TOOL_INVOKE, "0" * 32, tool=f"{sys.argv[2]}{number}"), Redactor())
    if number == 5:
        print("going", flush=True)
"""


def test_writers_share_one_encrypted_chain_and_one_that_is_killed_breaks_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    other = subprocess.Popen([sys.executable, "-c", WRITER, folder, "a", "300"], stdout=subprocess.DEVNULL)
    for name in "bc":
        with subprocess.Popen([sys.executable, "-c", WRITER, folder, name, "1000000"], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
    assert other.wait(60) == 0
    log = AuditLog(folder, clock=Clock(), source="test", keys=MARKS)
    write(log)
    log.close()
    assert verify(folder, MARKS).fault is None
    assert [record["source"] for record in records(folder, MARKS)].count("a") == 300


def test_a_seal_that_was_half_written_is_written_again(log: AuditLog, clock: Clock) -> None:
    write(log, 1)
    (log.folder / JOURNAL).write_bytes(b'{"file": "2027')
    (log.folder / JOURNAL).chmod(0o600)
    clock.now += DAY
    write(log, 2)
    assert verify(log.folder, MARKS).fault is None
    assert len((log.folder / JOURNAL).read_text().splitlines()) == 1


def test_every_key_of_the_section_is_enforced() -> None:
    assert {key for key in keys(AdmissionDocument) if key.startswith("audit.")} == {
        "audit.level",
        "audit.retention",
        "audit.encrypt",
        "audit.destination",
    }


def test_the_record_lies_where_the_document_says_or_the_document_is_refused() -> None:
    assert document("audit: {destination: audit/}").audit.destination == "audit/"
    for elsewhere in ("elsewhere", "/var/log", "../audit", "audit/a", "''"):
        with pytest.raises(PolicyError, match="--home DIR"):
            document(f"audit: {{destination: {elsewhere}}}")


def test_what_is_extended_keeps_as_much_as_both_say() -> None:
    whole = terms_of(Authorizer(document("audit: {level: minimal, retention: 1d}")))
    assert (whole.level, whole.retention_s, whole.encrypt) == ("minimal", DAY, False)
    assert terms_of(Authorizer()) == Terms()
    base = AdmissionDocument(version="1.0", audit=Kept(level="detailed", retention="90d", encrypt=True))  # type: ignore[arg-type] # as a text says it
    own = AdmissionDocument(version="1.0", audit=Kept(level="minimal", retention="1d"))  # type: ignore[arg-type] # as a text says it
    assert over(base, own).audit == Kept(level="detailed", retention="90d", encrypt=True)  # type: ignore[arg-type] # as a text says it
