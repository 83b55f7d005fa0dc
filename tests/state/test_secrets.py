"""The secret store: what it refuses, what it notices, and what of a secret is ever on the disk or on a screen."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import HostUnavailable, NotFound, SandboxError
from sandbox.state import sealing
from sandbox.state.home import Home
from sandbox.state.secret_key import key_place, make_key, own_places, read_key
from sandbox.state.secrets import MAX_SECRETS, MAX_VALUE, SecretStore
from tests.support.commands import Done, sandbox
from tests.support.serving import program

CANARY = "CANARY-5e1f0a93bd"


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "home" / "secrets", tmp_path / "config" / "secrets.key")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Where the store's parts lie."""
    return {"store": tmp_path / "home" / "secrets" / "secrets.json", "key": tmp_path / "config" / "secrets.key"}


def again(store: SecretStore) -> SecretStore:
    """The same store as another process sees it: nothing of it was read before."""
    return SecretStore(store._folder, store._key)


@pytest.mark.parametrize(
    "name", ["", "/", "a//b", "../a", "a/../b", ".a", "a/", "a b", "a=b", "ä", "a\n", "x" * 129, "-a", "a/-b"]
)
def test_a_name_that_is_no_path_of_plain_names_is_refused(store: SecretStore, name: str) -> None:
    """And not quoted: it may be the value, written in the wrong place."""
    with pytest.raises(SandboxError) as refused:
        store.set(name, CANARY, 1.0)
    assert "that is no secret's name" in str(refused.value)
    assert not (store._folder / "secrets.json").exists()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "fewer than 4"),
        ("abc", "fewer than 4"),
        ("x" * (MAX_VALUE + 1), "at most"),
        ("ä" * MAX_VALUE, "at most"),
        ("ab\0cd", "NUL"),
        ("ab\ud800cd", "NUL"),
    ],
)
def test_a_value_that_no_variable_could_hold_or_no_record_hide_is_refused(store: SecretStore, value: str, why: str) -> None:
    with pytest.raises(SandboxError, match=why) as refused:
        store.set("name", value, 1.0)
    assert not value or value not in str(refused.value)


def test_more_secrets_than_are_kept_are_refused(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.state.secrets.MAX_SECRETS", 2)
    assert MAX_SECRETS > 2
    store.set("a", CANARY, 1.0)
    store.set("b", CANARY, 1.0)
    with pytest.raises(SandboxError, match="no more are kept"):
        store.set("c", CANARY, 1.0)
    store.set("b", "changed", 2.0)
    assert store.values() == {"a": CANARY, "b": "changed"}


def test_what_is_not_there_cannot_be_removed(store: SecretStore) -> None:
    store.set("weather", CANARY, 1.0)
    with pytest.raises(NotFound) as refused:
        store.remove("wether")
    assert refused.value.help == "did you mean `weather`?"


def test_a_secret_is_read_as_it_was_set_and_by_every_process(store: SecretStore) -> None:
    value = f'{CANARY}\n "quoted" \\ ä 😀 '
    assert store.set("weather/api-key", value, 1.0)
    assert not store.set("weather/api-key", value, 2.0)
    assert again(store).values() == {"weather/api-key": value}
    assert [(one.name, one.changed_at) for one in again(store).names()] == [("weather/api-key", 2.0)]
    reader = again(store)
    assert reader.values()
    store.set("weather/api-key", "another value", 3.0)
    assert reader.values() == {"weather/api-key": "another value"}
    store.remove("weather/api-key")
    assert reader.values() == {}


def test_no_file_of_the_home_holds_a_value_and_every_file_is_private(
    store: SecretStore, tmp_path: Path, files: dict[str, Path]
) -> None:
    """Nor the key: a copy of the home is of no use without the file that lies elsewhere."""
    store.set("name", CANARY, 1.0)
    key = files["key"].read_bytes().strip()
    found = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert files["store"] in found
    for path in found:
        content = path.read_bytes()
        assert CANARY.encode() not in content
        assert base64.b64encode(CANARY.encode())[:-4] not in content
        assert key not in content
        assert bytes.fromhex(key.decode()) not in content
    for path in (*found, files["key"]):
        assert path.stat().st_mode & 0o777 == 0o600


def test_one_value_set_twice_looks_different_each_time(store: SecretStore, files: dict[str, Path]) -> None:
    """Who reads the file does not learn that two secrets are the same, or that one was set to what it was."""
    store.set("a", CANARY, 1.0)
    store.set("b", CANARY, 1.0)
    rows = json.loads(files["store"].read_text())["secrets"]
    store.set("a", CANARY, 1.0)
    assert len({closed for _, _, closed in (*rows, *json.loads(files["store"].read_text())["secrets"])}) == 3


def swapped(content: dict[str, Any]) -> None:
    first, second = content["secrets"]
    first[2], second[2] = second[2], first[2]


def renamed(content: dict[str, Any]) -> None:
    content["secrets"][0][0] = "c"


def taken_out(content: dict[str, Any]) -> None:
    del content["secrets"][0]


def added(content: dict[str, Any]) -> None:
    content["secrets"].append(["z", 1.0, content["secrets"][0][2]])


def flipped(content: dict[str, Any]) -> None:
    closed = bytearray(base64.b64decode(content["secrets"][0][2]))
    closed[-1] ^= 1
    content["secrets"][0][2] = base64.b64encode(closed).decode()


def aged(content: dict[str, Any]) -> None:
    content["secrets"][0][1] = 0.5


def of_another_store(content: dict[str, Any]) -> None:
    content["store"] = "0" * 32


def without_a_seal(content: dict[str, Any]) -> None:
    del content["seal"]


@pytest.mark.parametrize("change", [swapped, renamed, taken_out, added, flipped, aged, of_another_store, without_a_seal])
def test_a_store_that_was_changed_gives_nothing_at_all(
    store: SecretStore, files: dict[str, Path], change: Callable[[dict[str, Any]], None]
) -> None:
    """Not the values that were left alone, not the names, and nothing can be set into it."""
    store.set("a", CANARY, 1.0)
    store.set("b", "another value", 1.0)
    content = json.loads(files["store"].read_text())
    change(content)
    files["store"].write_text(json.dumps(content))
    reader = again(store)
    for use in (reader.values, reader.names, lambda: reader.set("d", "new value", 1.0), lambda: reader.remove("b"), store.values):
        with pytest.raises(HostUnavailable, match="the secret store") as refused:
            use()
        assert CANARY not in str(refused.value)


def test_a_value_moved_to_another_name_does_not_open_even_under_a_new_seal(store: SecretStore, files: dict[str, Path]) -> None:
    """The name is bound to the value itself, whatever surrounds it."""
    store.set("a", CANARY, 1.0)
    store.set("b", "another value", 1.0)
    content = json.loads(files["store"].read_text())
    swapped(content)
    del content["seal"]
    key = read_key(files["key"])
    assert key is not None
    spelled = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    content["seal"] = sealing.Sealer(key, content["store"]).seal(spelled)
    files["store"].write_text(json.dumps(content))
    with pytest.raises(HostUnavailable, match="does not open"):
        again(store).values()


def test_without_its_key_a_store_gives_nothing_and_makes_no_new_key(store: SecretStore, files: dict[str, Path]) -> None:
    store.set("a", CANARY, 1.0)
    files["key"].unlink()
    for use in (again(store).values, lambda: again(store).set("b", "new value", 1.0)):
        with pytest.raises(HostUnavailable, match="is gone"):
            use()
    assert not files["key"].exists()
    make_key(files["key"])
    with pytest.raises(HostUnavailable, match="sealed by another key"):
        again(store).values()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_may_read_or_write_is_refused(store: SecretStore, files: dict[str, Path], mode: int) -> None:
    store.set("a", CANARY, 1.0)
    files["key"].chmod(mode)
    with pytest.raises(HostUnavailable, match="others may read or write the key") as refused:
        again(store).values()
    assert "chmod 600" in str(refused.value.help)


def test_a_key_or_a_store_behind_a_link_is_refused(store: SecretStore, files: dict[str, Path], tmp_path: Path) -> None:
    store.set("a", CANARY, 1.0)
    for name in ("key", "store"):
        moved = tmp_path / f"moved-{name}"
        files[name].rename(moved)
        files[name].symlink_to(moved)
        with pytest.raises(HostUnavailable, match="cannot be opened"):
            again(store).values()
        files[name].unlink()
        moved.rename(files[name])
    assert again(store).values() == {"a": CANARY}


def test_a_file_that_holds_no_key_is_refused(store: SecretStore, files: dict[str, Path]) -> None:
    store.set("a", CANARY, 1.0)
    files["key"].write_text("secret")
    with pytest.raises(HostUnavailable, match="holds no key"):
        again(store).values()


def test_a_key_is_made_in_a_folder_that_is_there_without_a_change_to_it(tmp_path: Path) -> None:
    """`SANDBOX_SECRETS_KEY` may name a file in the user's own home."""
    tmp_path.chmod(0o755)
    make_key(tmp_path / "a.key")
    make_key(tmp_path / "new" / "b.key")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "a.key", tmp_path / "new", tmp_path / "new" / "b.key")]
    assert modes == [0o755, 0o600, 0o700, 0o600]
    assert make_key(tmp_path / "a.key") == read_key(tmp_path / "a.key")


def test_many_who_set_at_once_lose_nothing_and_make_one_key(store: SecretStore) -> None:
    """Each with a hand of its own on the store, as processes have."""
    threads = [threading.Thread(target=again(store).set, args=(f"s{n}", f"value {n}", 1.0)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert again(store).values() == {f"s{n}": f"value {n}" for n in range(12)}


def test_an_interrupted_change_leaves_the_store_as_it_was(store: SecretStore, files: dict[str, Path]) -> None:
    """What a crash leaves behind is a file beside the store, which the next change replaces."""
    store.set("a", CANARY, 1.0)
    (files["store"].parent / ".secrets.json.new").write_text("{half")
    (files["store"].parent / ".secrets.json.new").chmod(0o600)
    assert again(store).values() == {"a": CANARY}
    store.set("b", "another value", 1.0)
    assert again(store).values() == {"a": CANARY, "b": "another value"}


def test_the_key_lies_in_the_users_configuration_and_no_policy_may_name_it(tmp_path: Path) -> None:
    assert key_place({"XDG_CONFIG_HOME": "/etc/me"}) == Path("/etc/me/sandbox/secrets.key")
    assert key_place({"XDG_CONFIG_HOME": "relative", "SANDBOX_SECRETS_KEY": "/run/secrets/k"}) == Path("/run/secrets/k")
    assert own_places({"XDG_CONFIG_HOME": str(tmp_path), "SANDBOX_SECRETS_KEY": "/nowhere/k"}) == (
        str(tmp_path / "sandbox"),
        "/nowhere/k",
    )


# At the command line.


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """`sandbox secret …` in this process, with bytes on its standard input."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "home").mkdir(mode=0o700, exist_ok=True)

    def run(*words: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return sandbox("secret", *words, folder=tmp_path)

    return run


@pytest.mark.parametrize("words", [("set", "name", CANARY), ("set", f"name={CANARY}"), ("set", "name", "--value", CANARY)])
def test_a_value_in_the_command_line_is_refused_and_not_repeated(typed: Callable[..., Done], words: tuple[str, ...]) -> None:
    done = typed(*words, stdin=b"something")
    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr
    assert typed("list", "--json").stdout.strip() == "[]"


def test_a_value_that_is_no_text_is_refused_and_not_repeated(typed: Callable[..., Done]) -> None:
    done = typed("set", "name", stdin=CANARY.encode() + b"\xff\n")
    assert (done.returncode, CANARY in done.stderr) == (2, False)
    done = typed("set", "name", "--json", stdin=(CANARY * MAX_VALUE).encode())
    assert json.loads(done.stdout)["error"]["code"] == "invalid_arguments"
    assert CANARY not in done.stdout + done.stderr


def test_what_is_set_is_listed_by_name_alone_and_removed(typed: Callable[..., Done], tmp_path: Path) -> None:
    done = typed("set", "weather/api-key", stdin=f"{CANARY}\n".encode())
    assert done.stdout.startswith("weather/api-key is set")
    home = Home.open(tmp_path / "home", {})
    assert SecretStore.of(home, os.environ).values() == {"weather/api-key": CANARY}
    changed = typed("set", "weather/api-key", "--json", stdin=b"two\nlines\r\n")
    assert json.loads(changed.stdout) == {"name": "weather/api-key", "new": False}
    assert SecretStore.of(home, os.environ).values() == {"weather/api-key": "two\nlines"}
    (listed,) = json.loads(typed("list", "--json").stdout)
    assert set(listed) == {"name", "changed_at"}
    assert "weather/api-key" in typed("list").stdout
    assert typed("remove", "weather/api-key").returncode == 0
    assert typed("remove", "weather/api-key").returncode == 2
    assert "no secrets are set" in typed("list").stderr


def test_who_changed_which_secret_is_on_record_and_without_a_record_nothing_is_set(
    typed: Callable[..., Done], tmp_path: Path
) -> None:
    """The name and never the value; a record that cannot be written leaves the store as it was."""
    typed("set", "weather/api-key", stdin=CANARY.encode())
    typed("remove", "weather/api-key")
    (file,) = (tmp_path / "home" / "audit").glob("*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["event"], one["detail"]) for one in records] == [
        ("secret_set", {"name": "weather/api-key"}),
        ("secret_removed", {"name": "weather/api-key"}),
    ]
    assert CANARY not in file.read_text()
    os.link(file, tmp_path / "second name")
    assert typed("set", "another/one", stdin=CANARY.encode()).returncode == 4
    assert json.loads(typed("list", "--json").stdout) == []


def test_a_person_is_asked_without_echo(tmp_path: Path) -> None:
    """What is typed appears nowhere on the terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    command = [program(), "secret", "set", "name", "--home", str(tmp_path / "home")]
    # A terminal of its own: getpass asks at /dev/tty where there is one.
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"(not shown): " not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, f"{CANARY}\n".encode())
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:
                break
    os.close(ours)
    assert process.returncode == 0
    assert CANARY not in shown.decode()
    values = SecretStore(tmp_path / "home" / "secrets", tmp_path / "config" / "sandbox" / "secrets.key").values()
    assert values == {"name": CANARY}


def test_a_crash_of_a_process_that_holds_secrets_leaves_no_image_of_its_memory(
    typed: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, to: limits.append((which, to)))
    assert typed("list").returncode == 0
    assert limits == [(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))]
