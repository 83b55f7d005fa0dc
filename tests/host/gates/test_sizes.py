"""What a call may store, operation by operation: the sizes of its rules at the gate, by the kernel, by the watcher."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sandbox.errors import Code
from sandbox.host.gates.filesystem.answers import Error
from sandbox.host.measure import BLOCK, Tree
from tests.host.gates.conftest import O_CREATE, O_TRUNCATE, Guest, Start, refused, sized

FULL, TOO_LARGE = refused(Error.QUOTA), refused(Error.FILE_TOO_LARGE)
WRITE = 2


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty folder for a guest to fill."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def told(guest: Guest) -> set[tuple[str, int]]:
    """The sizes that were reached, as reported."""
    assert {denial.code for denial in guest.denials} <= {Code.RESOURCE_LIMIT_EXCEEDED}
    return {(denial.target["resource"], denial.target["limit"]) for denial in guest.denials}


def new(guest: Guest, name: str) -> int:
    """A new file, open for writing."""
    return guest.open(name, O_CREATE, WRITE)


def test_a_new_name_needs_a_block(start: Start, tree: Path) -> None:
    """A file, a folder, a link and a second name alike."""
    (tree / "there").write_text("x")
    guest = start({"/t": tree}, sized(f"{tree}/**", total=BLOCK))
    assert new(guest, "file") == FULL
    assert guest.mkdir(0, "folder") == FULL
    assert guest.symlink(0, "there", "link") == FULL
    assert guest.link(0, 0, "there", 0, "second") == FULL
    assert sorted(os.listdir(tree)) == ["there"]
    assert told(guest) == {("max_total_size", BLOCK)}


def test_what_is_removed_makes_room(start: Start, tree: Path) -> None:
    """At once, in the same call."""
    (tree / "there").write_bytes(bytes(3 * BLOCK))
    guest = start({"/t": tree}, sized(f"{tree}/**", total=4 * BLOCK))
    assert guest.mkdir(0, "one") == 0
    assert guest.mkdir(0, "two") == FULL
    assert guest.unlink(0, "there") == 0
    assert guest.mkdir(0, "two") == 0
    assert guest.rmdir(0, "two") == 0
    assert guest.stored() == [-2 * BLOCK]


def test_a_file_ends_where_the_tree_has_no_room(start: Start, tree: Path) -> None:
    """Through a stream, whose bytes no gate sees: the kernel ends it."""
    guest = start({"/t": tree}, sized(f"{tree}/**", total=4 * BLOCK))
    handle = new(guest, "file")
    assert [guest.write_stream(handle, bytes(BLOCK), at * BLOCK) for at in range(4)] == [BLOCK] * 4
    assert guest.write_stream(handle, bytes(BLOCK), 4 * BLOCK) < 0
    assert (tree / "file").stat().st_size == 4 * BLOCK
    assert guest.append_stream(handle, b"x") < 0
    assert guest.write(handle, b"x", 4 * BLOCK) == TOO_LARGE
    assert (tree / "file").stat().st_size == 4 * BLOCK
    assert told(guest) == {("max_total_size", 4 * BLOCK)}
    assert guest.stored() == [4 * BLOCK]


def test_a_file_ends_where_its_rule_says(start: Start, tree: Path) -> None:
    """To the byte, by every way to make it longer; and what lies before the end can be written again."""
    guest = start({"/t": tree}, sized(f"{tree}/**", file=10))
    handle = new(guest, "file")
    assert guest.write(handle, bytes(11), 0) == 10
    assert guest.write(handle, b"x", 10) == TOO_LARGE
    assert guest.set_size(handle, 11) == TOO_LARGE
    assert guest.set_size(handle, 10) == 0
    assert guest.write(handle, b"x", 9) == 1
    assert (tree / "file").stat().st_size == 10
    assert told(guest) == {("max_file_size", 10)}


def test_a_longer_one_beside_it_is_not_held_to_the_shorter_limit(start: Start, tree: Path) -> None:
    """Each file has its own rule's end, also while the other one is open."""
    guest = start({"/t": tree}, sized(f"{tree}/*.short", file=10), sized(f"{tree}/*.long", file=100))
    short, long = new(guest, "a.short"), new(guest, "a.long")
    assert guest.write(long, bytes(90), 0) == 90
    guest.drop(long)
    assert guest.write(short, bytes(90), 0) == 10


def test_a_sparse_size_is_refused_before_it_is_made(start: Start, tree: Path) -> None:
    """It would count in full."""
    guest = start({"/t": tree}, sized(f"{tree}/**", total=8 * BLOCK))
    handle = new(guest, "file")
    assert guest.set_size(handle, 9 * BLOCK) == FULL
    assert guest.set_size(handle, 8 * BLOCK) == 0
    assert guest.set_size(handle, 1) == 0
    assert guest.mkdir(0, "room") == 0


def test_what_is_truncated_makes_room(start: Start, tree: Path) -> None:
    """A file that is opened to be written anew begins with nothing."""
    (tree / "file").write_bytes(bytes(4 * BLOCK))
    guest = start({"/t": tree}, sized(f"{tree}/**", total=4 * BLOCK))
    handle = guest.open("file", O_TRUNCATE, WRITE)
    assert guest.write(handle, bytes(4 * BLOCK), 0) == 4 * BLOCK
    assert guest.stored() == [0]


def test_a_move_into_a_tree_counts_there(start: Start, tmp_path: Path) -> None:
    """A file, and a folder with all that lies in it; what left its tree counts there no more."""
    for name in ("one/folder", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one/file").write_bytes(bytes(3 * BLOCK))
    (tmp_path / "one/folder/deep").write_bytes(bytes(3 * BLOCK))
    rules = sized(f"{tmp_path}/one/**", total=100 * BLOCK), sized(f"{tmp_path}/other/**", total=4 * BLOCK)
    guest = start({"/one": tmp_path / "one", "/other": tmp_path / "other"}, *rules)
    one, other = guest.mounts.index("/one"), guest.mounts.index("/other")
    assert guest.mkdir(other, "two") == 0
    assert guest.rename(one, "folder", other, "folder") == FULL
    assert guest.rename(one, "file", other, "file") == 0
    assert guest.link(other, 0, "file", other, "again") == FULL
    assert guest.stored() == [-3 * BLOCK, 4 * BLOCK]


def test_a_replaced_file_makes_room(start: Start, tree: Path) -> None:
    """A move onto it frees what it took."""
    for name in ("old", "new"):
        (tree / name).write_bytes(bytes(2 * BLOCK))
    guest = start({"/t": tree}, sized(f"{tree}/**", total=4 * BLOCK))
    assert guest.mkdir(0, "more") == FULL
    assert guest.rename(0, "new", 0, "old") == 0
    assert guest.mkdir(0, "more") == 0


def test_an_open_file_without_a_name_takes_its_room(start: Start, tree: Path) -> None:
    """Until it is closed: removing it first does not hide what is written."""
    guest = start({"/t": tree}, sized(f"{tree}/**", total=4 * BLOCK))
    handle = new(guest, "file")
    assert guest.unlink(0, "file") == 0
    assert guest.write(handle, bytes(4 * BLOCK), 0) == 4 * BLOCK
    assert guest.mkdir(0, "more") == FULL
    guest.drop(handle)
    assert guest.mkdir(0, "more") == 0


def test_several_files_that_grow_past_a_total_are_seen(start: Start, tree: Path) -> None:
    """Each alone is within what the kernel was told, and no gate sees them grow; the watcher adds them up."""
    guest = start({"/t": tree}, sized(f"{tree}/**", total=8 * BLOCK))
    handles = [new(guest, str(number)) for number in range(4)]
    assert min(handles) > 0
    for name in "123":
        os.truncate(tree / name, 5 * BLOCK)
    ends = time.monotonic() + 5
    while not guest.over and time.monotonic() < ends:
        time.sleep(0.01)
    assert set(guest.over) == {f"max_total_size {tree}/**"}


def test_a_pattern_counts_what_it_matches(start: Start, tree: Path) -> None:
    """Not what lies beside it."""
    (tree / "beside.txt").write_bytes(bytes(50 * BLOCK))
    (tree / "there.csv").write_bytes(bytes(BLOCK))
    rules = sized(f"{tree}/*.csv", total=2 * BLOCK), sized(f"{tree}/*.log", total=2 * BLOCK)
    guest = start({"/t": tree}, *rules)
    guest.drop(new(guest, "a.csv"))
    assert new(guest, "b.csv") == FULL
    guest.drop(new(guest, "a.log"))
    guest.drop(new(guest, "b.log"))
    assert new(guest, "c.log") == FULL


def test_the_larger_of_two_limits_is_asked(start: Start, tree: Path) -> None:
    """What any rule gives is given."""
    rules = sized(f"{tree}/**", file=10, total=2 * BLOCK), sized(f"{tree}/**", file=20, total=3 * BLOCK)
    guest = start({"/t": tree}, *rules)
    handle = new(guest, "file")
    assert guest.write(handle, bytes(30), 0) == 20
    assert guest.mkdir(0, "one") == guest.mkdir(0, "two") == 0
    assert guest.mkdir(0, "three") == FULL


def test_no_limit_is_left_behind(start: Start, tree: Path) -> None:
    """After a call the process may write as before."""
    guest = start({"/t": tree}, sized(f"{tree}/**", file=10))
    assert guest.write(new(guest, "file"), bytes(11), 0) == 10
    guest.stored()
    (tree / "other").write_bytes(bytes(1000))
    assert (tree / "other").stat().st_size == 1000


def test_a_tree_is_measured_without_following_links(tmp_path: Path) -> None:
    """What a link leads to counts where it lies; a second name counts once; counting ends beyond the limit."""
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/big").write_bytes(bytes(100 * BLOCK))
    (tmp_path / "tree/away").symlink_to(tmp_path / "outside")
    (tmp_path / "tree/file").write_bytes(bytes(2 * BLOCK + 1))
    os.link(tmp_path / "tree/file", tmp_path / "tree/sub/again")
    tree = Tree(sized(f"{tmp_path}/tree/**", total=1 << 30))
    assert tree.measure(1 << 30) == (1 + 1 + 3 + 1) * BLOCK
    assert BLOCK < tree.measure(BLOCK) <= 4 * BLOCK
    assert Tree(sized(f"{tmp_path}/nothing/**", total=1 << 30)).measure(1 << 30) == 0
    assert Tree(sized(f"{tmp_path}/tree/away/**", total=1 << 30)).measure(1 << 30) == 0


def two_trees(start: Start, tmp_path: Path) -> tuple[Guest, int, int]:
    """A guest with a tree of six blocks, three of them taken, and one without a bound."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/file").write_bytes(bytes(3 * BLOCK))
    rules = sized(f"{tmp_path}/one/**", total=6 * BLOCK), sized(f"{tmp_path}/other/**")
    guest = start({"/one": tmp_path / "one", "/other": tmp_path / "other"}, *rules)
    return guest, guest.mounts.index("/one"), guest.mounts.index("/other")


def test_a_second_name_that_leaves_takes_no_more_than_itself_along(start: Start, tmp_path: Path) -> None:
    """Alone, and in a folder: the file stays where its first name is."""
    guest, one, other = two_trees(start, tmp_path)
    assert guest.link(one, 0, "file", one, "second") == 0
    assert guest.rename(one, "second", other, "second") == 0
    assert guest.mkdir(one, "folder") == 0
    assert guest.link(one, 0, "file", one, "folder/third") == 0
    assert guest.rename(one, "folder", other, "folder") == 0
    assert guest.stored() == [0]


def test_a_file_that_leaves_frees_what_was_counted_of_it(start: Start, tmp_path: Path) -> None:
    """What it grew by a moment ago, too: nobody has looked at it since."""
    guest, one, other = two_trees(start, tmp_path)
    handle = guest.open("new", O_CREATE, WRITE, one)
    assert [guest.write_stream(handle, bytes(BLOCK), at * BLOCK) for at in range(3)] == [BLOCK] * 3
    assert guest.rename(one, "new", other, "new") == 0
    guest.drop(handle)
    assert guest.stored() == [0]


def test_a_second_name_elsewhere_does_not_lift_the_bound_of_an_open_file(start: Start, tmp_path: Path) -> None:
    """It grows where it was opened, also when another name of it goes where there is no bound."""
    guest, one, other = two_trees(start, tmp_path)
    handle = guest.open("file", 0, WRITE, one)
    assert guest.link(one, 0, "file", one, "second") == 0
    assert guest.rename(one, "second", other, "second") == 0
    assert [guest.write_stream(handle, bytes(BLOCK), at * BLOCK) for at in range(6)] == [BLOCK] * 6
    assert guest.write_stream(handle, bytes(BLOCK), 6 * BLOCK) < 0
    assert guest.stored() == [3 * BLOCK]
