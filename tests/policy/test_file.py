"""POL-07: a policy file that somebody else could change is refused."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from sandbox.errors import Code, PolicyError
from sandbox.policy.load import load_policy_file
from sandbox.policy.tree import MAX_BYTES

TEXT = 'version: "2.0"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT)
    path.chmod(0o644)
    return path


def refused(path: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy_file(path)
    return caught.value


def test_pol_07_a_symlink_is_refused(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file)
    assert "the file is a symlink" in str(refused(link))


def test_pol_07_a_second_name_is_refused(file: Path) -> None:
    file.with_name("other.yaml").hardlink_to(file)
    assert "a second name (hardlink)" in str(refused(file))


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o620, 0o602])
def test_pol_07_a_file_that_others_may_write_is_refused(file: Path, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("staff", "x", gid, ["somebody"])))
    file.chmod(mode)
    error = refused(file)
    assert "group or others may write the file" in str(error)
    assert f"chmod go-w {file}" in str(error)


@pytest.mark.parametrize(
    ("name", "members", "accepted"),
    [("me", [], True), ("me", ["me"], True), ("me", ["me", "other"], False), ("staff", [], False)],
)
def test_a_users_private_group_is_nobody_else(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: list[str], accepted: bool
) -> None:
    """What umask 002 makes of a clone; a group with another name or another member is others."""
    user = pwd.struct_passwd(("me", "x", os.geteuid(), file.stat().st_gid, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((name, "x", gid, members)))
    file.chmod(0o664)
    if accepted:
        assert load_policy_file(file).written_version == "2.0"
    else:
        assert "group or others may write the file" in str(refused(file))


def test_pol_07_a_file_of_another_user_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs this host is neither the file's owner nor root here, as far as the check can tell."""
    owner = file.stat().st_uid
    if owner == 0:
        os.chown(file, 4711, 4711)
        owner = 4711
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"the file belongs to user {owner}" in str(refused(file))


def test_pol_07_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "this is no regular file" in str(refused(fifo))
    assert "this is no regular file" in str(refused(tmp_path))
    assert "this is no regular file" in str(refused(Path("/dev/zero")))


def test_a_file_above_the_limit_is_refused_unread(file: Path) -> None:
    os.truncate(file, 1 << 40)
    assert f"more than the {MAX_BYTES} of a policy" in str(refused(file))


def test_a_missing_file_has_a_code_of_its_own(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.yaml").code is Code.POLICY_NOT_FOUND
    assert refused(tmp_path / "none" / "policy.yaml").code is Code.POLICY_NOT_FOUND


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o444])
def test_a_file_that_only_its_owner_writes_is_read(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert load_policy_file(file).version == "2.0"


def test_problems_name_the_file(file: Path) -> None:
    file.write_text(TEXT + "x: 1\n")
    assert f"{file}:2:1: x: unknown key `x`" in str(refused(file))


def test_no_descriptor_stays_open(file: Path) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(20):
        load_policy_file(file)
        refused(file.parent)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
