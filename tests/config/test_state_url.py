"""Where state is kept, as one writes it: what is refused, and that no password is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.config.state_url import Server, StatePlace, parse_state
from sandbox.policy.refusal import Refusal

REFUSED = [
    "",
    "postgres://h",
    "valkey://h",
    "sqlite:",
    "sqlite://",
    "sqlite:///",
    "sqlite://state.sqlite",
    "sqlite://host/state.sqlite",
    "sqlite:///x?mode=ro",
    "redis://",
    "redis:///0",
    "redis://h:99999",
    "redis://h:x",
    "redis://h/zero",
    "redis://h/-1",
    "redis://h/1?db=2",
    "redis://h?ca=/x.pem",
    "redis://h?timeout=1",
    "redis://h?power_loss=yes",
    "redis://h#x",
    "redis://h h",
    "redis://h\n",
    "rediss://h?ca=x.pem",
    "unix://",
    "unix://redis.sock",
    "unix:///s?db=x",
]


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_place_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_state(text)
    assert refused.value.help


@pytest.mark.parametrize(
    "text",
    ["redis://me:canary@h", "redis://:canary@h", "rediss://me:canary@h:1/0", "unix://me:canary@/s", "redis://me:canary@h:x"],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_state(text)
    assert "canary" not in f"{refused.value.message} {refused.value.help}"


def test_a_place_is_what_was_written() -> None:
    assert parse_state("sqlite") == StatePlace()
    assert parse_state("memory") == StatePlace("memory")
    assert parse_state("sqlite:///srv/a%20b/s.sqlite") == StatePlace("sqlite", Path("/srv/a b/s.sqlite"))
    assert parse_state("redis://h").server == Server("h", 6379)
    assert parse_state("redis://me@[::1]:7000/3").server == Server("::1", 7000, db=3, user="me")
    assert parse_state("rediss://h/?ca=/x.pem").server == Server("h", 6379, tls=True, ca="/x.pem")
    assert parse_state("unix:///run/r.sock?db=2&power_loss=accepted").server == Server(socket="/run/r.sock", db=2, may_lose=True)


def test_a_server_is_told_without_who_we_are_there() -> None:
    names = ("redis://me@h:7000/3", "unix://me@/run/r.sock?db=2")
    servers = [parse_state(name).server for name in names]
    assert [server.name for server in servers if server is not None] == ["redis://h:7000/3", "unix:///run/r.sock?db=2"]


def test_the_folder_of_a_file_elsewhere_is_nobodys_to_name() -> None:
    assert parse_state("sqlite:///srv/state/s.sqlite").own == (Path("/srv/state"),)
    assert parse_state("sqlite").own == parse_state("redis://h").own == ()
