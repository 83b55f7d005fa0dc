"""Ways out of the folders that a policy gives."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.host.outcome import Ending
from sandbox.result import CallResult
from tests.attacks.stage import CANARY, Stage, attempts, policy, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = {"not-permitted"}
NOT_THERE = {"not-permitted", "no-entry"}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """`w` to write in, `r` to read, and what lies outside."""
    for name in ("w/sub", "r/folder", "outside/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "w/x").write_text("inside")
    (tmp_path / "w/own").write_text("own")
    (tmp_path / "r/f").write_text("content")
    (tmp_path / "outside/secret").write_text(CANARY)
    return tmp_path


def given(world: Path, limits: str = "") -> str:
    """Read and write below `/w`, read below `/r`."""
    return policy(
        f"""uri: "fs://{world}/w/**", access: [read, write, create, delete], mount: /w
            uri: "fs://{world}/r/**", access: [read], mount: /r""",
        limits=limits,
    )


def none_got_out(result: CallResult) -> None:
    """No attempt succeeded, and none read the secret."""
    assert CANARY not in str(result.outcome.value)
    assert {what: outcome for what, outcome in attempts(result).items() if outcome not in NOT_THERE} == {}


async def test_a_path_with_dots_or_a_slash_leads_nowhere(stage: Stage, world: Path) -> None:
    """FS-01."""
    await stage.load("escape_traversal", given(world))
    paths = ["../outside/secret", "sub/../../outside/secret", "//etc/passwd", "/etc/passwd", "..", "../", "sub/../.."]
    result = await stage.contained("escape_traversal__open-each", none_got_out, mount="/w", paths=paths)
    assert result.outcome.denials
    inside = await stage.call("escape_traversal__open-each", mount="/w", paths=["./x", "sub/../x"])
    assert set(attempts(inside).values()) == {"read: inside"}


async def test_what_is_outside_is_refused_from_the_root_and_reported(stage: Stage, world: Path) -> None:
    """FS-01: the root that the guest sees leads to the mounts and to nothing else."""
    await stage.load("escape_traversal", given(world))
    paths = ["etc/passwd", f"{world}/outside/secret".lstrip("/"), "w/../etc/passwd", "proc/self/environ"]
    result = await stage.contained("escape_traversal__open-each", none_got_out, mount="/", paths=paths)
    assert {denial.target["path"] for denial in result.outcome.denials} >= {"/etc/passwd", "/proc/self/environ"}


async def test_a_path_of_three_thousand_names_is_an_error(stage: Stage, world: Path) -> None:
    """FS-01."""

    def check(result: CallResult) -> None:
        assert attempts(result)["open"] in {"name-too-long", "no-entry", "not-permitted"}

    await stage.load("escape_traversal", given(world))
    await stage.contained("escape_traversal__open-deep", check, mount="/w", name="sub/../", depth=3000)


@pytest.fixture
def links(world: Path) -> list[str]:
    """Links that somebody on the host left in the writable folder, all leading out."""
    made = {
        "abs": str(world / "outside"),
        "rel": "../outside",
        "relf": "../outside/secret",
        "mix": "sub/../../outside/secret",
        "proc": "/proc/self/root",
        "relslash": "../outside/",
        "up": "..",
    }
    for name, target in made.items():
        (world / "w" / name).symlink_to(target)
    return list(made)


async def test_a_link_out_is_not_followed(stage: Stage, world: Path, links: list[str]) -> None:
    """FS-03, FS-04: with a slash behind it, or two, it is still that link."""

    def check(result: CallResult) -> None:
        got = {
            what: outcome for what, outcome in attempts(result).items() if not what.startswith(("readlink", "open unfollowed"))
        }
        assert set(got.values()) <= NOT_THERE | {"not-directory"}
        assert not [outcome for outcome in attempts(result).values() if outcome.startswith(("read:", "names:", "directory"))]

    await stage.load("escape_symlink", given(world))
    await stage.contained("escape_symlink__follow", check, mount="/w", names=links)


async def test_nothing_is_made_or_removed_through_a_link(stage: Stage, world: Path, links: list[str]) -> None:
    """FS-04."""
    before = sorted(path.name for path in (world / "outside").rglob("*"))

    def check(result: CallResult) -> None:
        assert "ok" not in {outcome for what, outcome in attempts(result).items() if not what.startswith("unlink")}
        assert sorted(path.name for path in (world / "outside").rglob("*")) == before

    await stage.load("escape_symlink", given(world))
    await stage.contained("escape_symlink__change-through", check, mount="/w", names=links)
    assert (world / "outside/secret").read_text() == CANARY


async def test_a_planted_link_deceives_neither_the_guest_nor_the_host(stage: Stage, world: Path) -> None:
    """FS-06: what the guest plants does not lead it out, and a grant on it does not reach what it points to."""

    def check(result: CallResult) -> None:
        got = attempts(result)
        assert got["open new"] in NOT_THERE
        assert got["list new"] in NOT_THERE

    await stage.load("escape_symlink", given(world))
    await stage.contained("escape_symlink__plant", check, mount="/w", target="../outside", name="new")
    if (world / "w/new").is_symlink():
        with pytest.raises(SandboxError):
            await stage.sandbox.grant_storage_permission("escape_symlink", f"fs://{world}/w/new/**", ["read"])


async def test_a_hard_link_of_the_hosts_is_the_file_itself(stage: Stage, world: Path) -> None:
    """FS-07: documented in docs/policy.md; a second name of a file is that file."""
    os.link(world / "outside/secret", world / "w/second")
    await stage.load("escape_hardlink", given(world))
    assert value(await stage.call("escape_hardlink__read", mount="/w", path="second")) == f"read: {CANARY}"


async def test_a_file_to_read_gets_no_second_name_to_write(stage: Stage, world: Path) -> None:
    """FS-07."""

    def check(result: CallResult) -> None:
        assert attempts(result)["link second"] in REFUSED
        assert "ok" not in attempts(result).values()
        assert (world / "r/f").read_text() == "content"

    await stage.load("escape_hardlink", given(world))
    arguments = {"source": "/r", "path": "f", "target": "/w", "name": "second", "text": "overwritten"}
    await stage.contained("escape_hardlink__link-and-write", check, **arguments)


async def test_what_is_given_to_read_cannot_be_changed(stage: Stage, world: Path) -> None:
    """FS-08: twenty ways to change a file or its folder."""
    before = (world / "r/f").stat()

    def check(result: CallResult) -> None:
        got = attempts(result)
        # Opening asks for nothing yet; what is then tried through the directory is refused like the rest.
        assert (got.pop("open for reading f"), got.pop("open directory to mutate f")) == ("ok", "ok")
        assert {
            what: outcome for what, outcome in got.items() if outcome not in {"not-permitted", "bad-descriptor", "read-only"}
        } == {}
        after = (world / "r/f").stat()
        assert (after.st_mtime_ns, after.st_nlink, after.st_size) == (before.st_mtime_ns, before.st_nlink, before.st_size)
        assert sorted(os.listdir(world / "r")) == ["f", "folder"]
        assert (world / "w/own").exists()

    await stage.load("escape_readonly", given(world))
    await stage.contained("escape_readonly__tamper", check, mount="/r", file="f", other="/w")


async def test_pipes_sockets_and_devices_are_never_opened(stage: Stage, world: Path) -> None:
    """FS-10: a pipe without a writer would hold whoever opens it for ever."""
    os.mkfifo(world / "w/pipe")
    bound = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(world)  # a socket's path has at most 107 bytes
    bound.bind("w/socket")
    os.chdir(here)
    names = ["pipe", "socket"]
    if os.geteuid() == 0:
        os.mknod(world / "w/device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        names.append("device")
    await stage.load("escape_special", given(world))
    await stage.contained("escape_special__open-each", none_got_out, mount="/w", names=names)
    bound.close()


@pytest.mark.parametrize("uri", ["/proc/**", "/proc/self/**", "/dev/**", "/sys/**", "/run/**", "/**", "/proc/../proc/**"])
async def test_no_policy_gives_the_systems_own_folders(stage: Stage, uri: str) -> None:
    """FS-11: refused when it is loaded, with the reason."""
    text = policy(f'uri: "fs://{uri}", access: [read]')
    with pytest.raises(SandboxError) as refused:
        await stage.load("escape_special", text)
    assert ":5:" in str(refused.value), "the line of the entry"


async def test_open_files_run_out_for_the_guest_alone(stage: Stage, world: Path) -> None:
    """FS-13."""

    def check(result: CallResult) -> None:
        got = value(result)
        assert int(got["times"]) <= 16
        assert got["error"] != "ok"

    await stage.load("exhaust_files", given(world, limits="open_files: 16"))
    await stage.contained("exhaust_files__open-until-error", check, mount="/w", path="x", most=100_000)


async def test_a_link_swapped_in_a_race_is_never_followed(stage: Stage, world: Path) -> None:
    """FS-16: one call exchanges a folder and a link that leads out, another reads through that name."""
    (world / "w/a").mkdir()
    (world / "w/a/secret").write_text("harmless")
    (world / "w/b").symlink_to("../outside")
    await stage.load("escape_race", given(world, limits="wall_time: 30s, cpu_time: 30s"))
    swaps = stage.call("escape_race__swap", mount="/w", one="a", two="b", times=1500)
    hunts = stage.call("escape_race__hunt", mount="/w", path="a/secret", needle=CANARY, times=3000)
    swapped, hunted = await asyncio.gather(swaps, hunts)
    assert value(swapped) > 0
    assert value(hunted) == 0
    await stage.neighbour_is_well()


async def test_a_denied_file_is_not_read_in_a_race(stage: Stage, world: Path) -> None:
    """FS-16: the same, where the link leads to a denied file inside the folder."""
    (world / "w/a").mkdir()
    (world / "w/a/secret").write_text("harmless")
    (world / "w/private").mkdir()
    (world / "w/private/secret").write_text(CANARY)
    (world / "w/b").symlink_to("private")
    rules = f"""uri: "fs://{world}/w/**", access: [read, write, create, delete], mount: /w
                deny uri: "fs://{world}/w/private/**", access: [read, write, create, delete]"""
    await stage.load("escape_race", policy(rules, limits="wall_time: 30s, cpu_time: 30s"))
    swaps = stage.call("escape_race__swap", mount="/w", one="a", two="b", times=1500)
    hunts = stage.call("escape_race__hunt", mount="/w", path="a/secret", needle=CANARY, times=3000)
    swapped, hunted = await asyncio.gather(swaps, hunts)
    assert value(swapped) > 0
    assert value(hunted) == 0


async def test_a_guest_with_a_libc_is_held_as_well(stage: Stage, world: Path) -> None:
    """An ordinary C program through the preview1 adapter: its opens pass the same gate."""
    await stage.load("libc_reads", given(world))
    assert value(await stage.call("libc_reads__read", path="/w/x")) == "inside"
    refused = await stage.call("libc_reads__read", path="/w/../outside/secret")
    assert refused.outcome.ending is Ending.GUEST_ERROR
    assert CANARY not in str(refused.outcome)
