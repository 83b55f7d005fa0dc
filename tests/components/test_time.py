"""The clock, as a client has it. Zones are checked against Python's own reading of the same files."""

from __future__ import annotations

import datetime as dt
import io
import random
import struct
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.served import Served, own_policy, served
from tests.support.components import COMPONENTS

Kind = tuple[int, bool, str]
ZONES: dict[str, tuple[str, Kind]] = {
    "Test/Berlin": ("CET-1CEST,M3.5.0,M10.5.0/3", (7200, True, "CEST")),
    "Test/Sydney": ("AEST-10AEDT,M10.1.0,M4.1.0/3", (36000, False, "AEST")),
    "Test/Nuuk": ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", (-3600, True, "-01")),
    "Test/Always": ("EST5", (-18000, False, "EST")),
    "Test/Julian": ("AAA3BBB,J60/2,300/26:30:15", (-7200, True, "BBB")),
}
"""A rule, and the kind of time that it has when it begins, in July 2017."""
MADE = [(-1_000_000_000, 1), (500_000_000, 0), (1_500_000_000, 2)]
"""When the zones of these tests changed, before their rule begins: (moment, kind)."""


def tzif(rule: str, last: Kind) -> bytes:
    """A file as RFC 9636 has it: three changes, then the rule."""
    kinds = [(3600, False, "XXX"), (-5400, False, "-0130"), last]
    names = "".join(f"{name}\0" for _, _, name in kinds).encode()
    starts = [sum(len(name) + 1 for _, _, name in kinds[:kind]) for kind in range(3)]
    body = b"".join(struct.pack(">iBB", offset, dst, start) for (offset, dst, _), start in zip(kinds, starts, strict=True))
    empty = struct.pack(">4sc15x6I", b"TZif", b"2", 0, 0, 0, 0, 1, 1) + bytes(6) + b"\0"
    head = struct.pack(">4sc15x6I", b"TZif", b"2", 0, 0, 0, len(MADE), len(kinds), len(names))
    times = b"".join(struct.pack(">q", moment) for moment, _ in MADE)
    return empty + head + times + bytes(kind for _, kind in MADE) + body + names + f"\n{rule}\n".encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Time zone files of our own: the machine need not have any."""
    folder = tmp_path_factory.mktemp("time")
    for name, zone in ZONES.items():
        path = folder / "zoneinfo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tzif(*zone))
    whole = tzif(*ZONES["Test/Berlin"])
    for name, data in {
        "cut": whole[:-9],
        "empty": b"",
        "text": b"CET-1\n",
        "rule": whole[:-6] + b"x" * 5 + b"\n",
        "old": b"TZif" + bytes(60),
    }.items():
        (folder / "zoneinfo" / "Test" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def time(folder: Path) -> Iterator[Served]:
    """The clock under its own policy, with these files where the host's are."""
    line = "fs:///usr/share/zoneinfo/**"
    policy = own_policy("time").replace(line, f"fs://{folder}/zoneinfo/**\n        mount: /usr/share/zoneinfo")
    assert line not in policy
    with served(folder, {COMPONENTS / "time" / "time.wasm": policy}) as time:
        yield time


def test_now_is_the_hosts_time(time: Served) -> None:
    before = dt.datetime.now(dt.UTC)
    now = time.gives("time__now", zone="Test/Berlin")
    assert before <= dt.datetime.fromisoformat(now["text"]) <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("name", ZONES)
def test_every_moment_is_shown_as_python_shows_it(time: Served, folder: Path, name: str) -> None:
    """Moments before, between and after the changes of the file, and around those of the rule."""
    zone = zoneinfo.ZoneInfo.from_file(io.BytesIO((folder / "zoneinfo" / name).read_bytes()), key=name)
    chance = random.Random(name)
    moments = [chance.randrange(-3_000_000_000, 6_000_000_000) for _ in range(15)]
    moments += [moment + step for moment, _ in MADE for step in (-1, 0, 1)]
    moments += [1_709_208_000, 1_709_269_199, 1_709_269_200]  # 29 February and 1 March 2024
    for moment in moments:
        wanted = dt.datetime.fromtimestamp(moment, dt.UTC).astimezone(zone)
        year, week, weekday = wanted.isocalendar()
        told = time.gives("time__parse", text=f"@{moment}", zone=name)
        assert dt.datetime.fromisoformat(told["text"]).isoformat() == wanted.isoformat()
        assert told["abbreviation"] == wanted.tzname()
        assert told["week"] == f"{year:04}-W{week:02}"
        assert told["weekday"] == dt.date(2024, 1, weekday).strftime("%A").lower()
        assert told["day-of-year"] == wanted.timetuple().tm_yday


def test_a_change_of_the_clocks_is_where_the_rule_has_it(time: Served) -> None:
    assert time.gives("time__parse", text="2026-03-29T00:59:59Z", zone="Test/Berlin")["offset"] == "+01:00"
    assert time.gives("time__parse", text="2026-03-29T01:00:00Z", zone="Test/Berlin")["offset"] == "+02:00"


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        (
            "parse",
            {"text": "2026-03-29T02:30", "zone": "Test/Berlin"},
            "does not exist in `Test/Berlin`, where the clocks are put forward",
        ),
        ("parse", {"text": "2026-10-25T02:30", "zone": "Test/Berlin"}, "happens twice in `Test/Berlin`"),
        ("parse", {"text": "2026-10-25T02:30", "zone": "Test/Berlin"}, "write its offset, +02:00 or +01:00"),
        ("parse", {"text": "2026-02-29"}, "names a month, day, hour, minute or second that there is not"),
        ("parse", {"text": "2016-12-31T23:59:60Z"}, "second that there is not"),
        ("parse", {"text": "tomorrow"}, "is no time: write it as `2026-11-22T19:17:05+01:00`"),
        ("parse", {"text": "２０２６-01-01"}, "is no time"),
        ("parse", {"text": "2026-11-22\x00"}, "is no time"),
        ("parse", {"text": "9" * 5000}, "…"),
        ("parse", {"text": "9999-12-31T23:59Z", "zone": "+01:00"}, "not within the years 1 to 9999"),
        ("now", {"zone": "../../../etc/passwd"}, "is no time zone: write `UTC`"),
        ("now", {"zone": "Test/../../x"}, "is no time zone"),
        ("now", {"zone": "Test/Nowhere"}, "names are as in `Europe/Berlin`"),
        ("now", {"zone": "Test"}, "there is no time zone `Test`"),
        ("now", {"zone": "Test/cut"}, "not as RFC 9636 has it"),
        ("now", {"zone": "Test/empty"}, "not as RFC 9636 has it"),
        ("now", {"zone": "Test/text"}, "not as RFC 9636 has it"),
        ("now", {"zone": "Test/rule"}, "not as RFC 9636 has it"),
        ("now", {"zone": "Test/old"}, "not as RFC 9636 has it"),
        ("add", {"text": "2026-01-01", "duration": "1 day"}, "is no duration: write it as `P1Y2M3DT4H5M6S`"),
        ("add", {"text": "2026-01-01", "duration": "P1D1Y"}, "is no duration"),
        ("add", {"text": "2026-01-01", "duration": "P1H"}, "is no duration"),
        ("add", {"text": "9999-12-31", "duration": "P1D"}, "not within the years"),
        ("format", {"text": "2026-01-01", "pattern": "%Q"}, "has `%Q` in it, which stands for nothing"),
        ("format", {"text": "2026-01-01", "pattern": "%é"}, "has `%` in it"),
        ("format", {"text": "2026-01-01", "pattern": "x" * 600}, "more than 512 bytes"),
    ],
)
def test_an_error_says_what_to_write(time: Served, tool: str, arguments: dict[str, Any], words: str) -> None:
    assert words in time.says(f"time__{tool}", **arguments)


@pytest.mark.parametrize(
    ("text", "zone", "shown"),
    [
        ("2026-11-22T19:17:05+01:00", "UTC", "2026-11-22T18:17:05Z"),
        ("2026-11-22 19:17", "-03:30", "2026-11-22T19:17:00-03:30"),
        ("2026-11-22", "Test/Berlin", "2026-11-22T00:00:00+01:00"),
        ("2026-11-22t19:17:05,25z", "UTC", "2026-11-22T19:17:05.25Z"),
        ("@-1", "UTC", "1969-12-31T23:59:59Z"),
        ("0001-01-01", "UTC", "0001-01-01T00:00:00Z"),
        ("2026-10-25T02:30+01:00", "Test/Berlin", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_a_time_is_read_and_shown(time: Served, text: str, zone: str, shown: str) -> None:
    assert time.gives("time__parse", text=text, zone=zone)["text"] == shown


@pytest.mark.parametrize(
    ("text", "duration", "shown"),
    [
        ("2026-01-31", "P1M", "2026-02-28T00:00:00+01:00"),
        ("2024-02-29", "P1Y", "2025-02-28T00:00:00+01:00"),
        ("2026-01-01", "-P1DT1S", "2025-12-30T23:59:59+01:00"),
        ("2026-03-28T12:00", "P1D", "2026-03-29T12:00:00+02:00"),
        ("2026-03-28T12:00", "PT24H", "2026-03-29T13:00:00+02:00"),
        ("2026-03-28T02:30", "P1D", "2026-03-29T03:30:00+02:00"),
        ("2026-10-24T02:30", "P1D", "2026-10-25T02:30:00+02:00"),
        ("2026-01-01", "P2W", "2026-01-15T00:00:00+01:00"),
    ],
)
def test_a_time_is_moved_as_a_calendar_moves_it(time: Served, text: str, duration: str, shown: str) -> None:
    """Days are the calendar's, across a change of the clocks too; hours are exact."""
    assert time.gives("time__add", text=text, duration=duration, zone="Test/Berlin")["text"] == shown


def test_a_pattern_is_filled_in(time: Served) -> None:
    moment = dt.datetime(2026, 1, 4, 23, 4, 5, 250_000, dt.timezone(dt.timedelta(hours=9)))
    pattern = "%Y %m %d %H %M %S %y %j %I %p %a %A %b %B %G %V %u %z %F %T %% é"
    assert time.gives("time__format", text=moment.isoformat(), pattern=pattern, zone="+09:00") == moment.strftime(pattern)
    assert (
        time.gives("time__format", text=moment.isoformat(), pattern="%e|%:z|%s|%f|%Z", zone="+09:00")
        == " 4|+09:00|1767535445|250000|+09:00"
    )


def test_two_times_are_compared(time: Served) -> None:
    spans = [
        ("2026-01-01", "2026-12-31", {"seconds": 31_449_600, "text": "P364D"}),
        ("2026-03-29", "2026-03-30", {"seconds": 82_800, "text": "PT23H"}),
        ("2026-01-02T00:00:00.5Z", "2026-01-01T00:00:00Z", {"seconds": -86_400, "text": "-P1D"}),
        ("2026-01-01", "2026-01-01", {"seconds": 0, "text": "PT0S"}),
    ]
    for from_, to, span in spans:
        assert time.gives("time__between", from_=from_, to=to, zone="Test/Berlin") == span
