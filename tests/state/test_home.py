"""The home is this user's alone, and time in it never runs backwards."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sandbox.errors import HostUnavailable, SandboxError
from sandbox.state import Clock, Home


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_home_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(mode)
    with pytest.raises(HostUnavailable, match="written by others"):
        Home.open(tmp_path / "home", {})


def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(HostUnavailable, match="another user"):
        Home.open(tmp_path / "home", {})


def test_a_link_or_a_file_in_place_of_the_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(HostUnavailable):
            Home.open(tmp_path / name, {})


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "/etc", "-x", "x" * 65, "a\0b", "é"])
def test_a_name_that_leaves_the_data_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SandboxError, match="cannot name"):
        Home.open(tmp_path / "home", {}).data(name)


def test_everything_in_it_is_made_private(tmp_path: Path) -> None:
    home = Home.open(tmp_path / "a" / "home", {})
    folders = [home.path, home.state, home.cache, home.audit, home.run, home.data("files")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert all(Path(own).is_dir() for own in home.own)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SANDBOX_HOME": "T/one", "XDG_STATE_HOME": "/T/two"}, "T/one"),
        ({"XDG_STATE_HOME": "T/two"}, "T/two/sandbox"),
        ({"HOME": "T/three"}, "T/three/.local/state/sandbox"),
    ],
)
def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str) -> None:
    here = {name: value.replace("T", str(tmp_path)) for name, value in environ.items()}
    monkeypatch.setenv("HOME", here.get("HOME", "/nowhere"))
    assert Home.open(None, here).path == Path(expected.replace("T", str(tmp_path)))


class Hands:
    def __init__(self) -> None:
        self.wall, self.monotonic = 1000.0, 50.0


def test_the_clock_goes_on_where_the_wall_clock_is_set_back() -> None:
    hands = Hands()
    clock = Clock(0, wall=lambda: hands.wall, monotonic=lambda: hands.monotonic)
    assert clock() == 1000
    hands.wall, hands.monotonic = 400.0, 60.0
    assert clock() == 1010
    hands.wall, hands.monotonic = 2000.0, 61.0
    assert clock() == 2000
    hands.wall, hands.monotonic = 0.0, 61.5
    assert clock() == 2000.5


def test_the_clock_starts_at_the_latest_moment_that_was_seen() -> None:
    hands = Hands()
    clock = Clock(5000, wall=lambda: hands.wall, monotonic=lambda: hands.monotonic)
    assert clock.set_back_by == 4000
    assert clock() == 5000
    hands.monotonic += 7
    assert clock() == 5007
