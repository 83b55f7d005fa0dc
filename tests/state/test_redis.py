"""The store on a Redis server: which servers are refused, and what holds when the server is lost, slow or put back."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import trustme

from sandbox.errors import HostUnavailable
from sandbox.state import Home, Store, open_store, state_of
from sandbox.state.authentic import StoreChangedError
from sandbox.state.redis import tables
from sandbox.state.secret_key import key_place
from sandbox.state.secrets import SecretStore
from sandbox.state.tables import LostError
from tests.state.places import Place, forked
from tests.state.test_store import NOW, add, grant
from tests.support.redis_server import DURABLE, PASSWORD, RedisServer, free_port, redis_server

pytestmark = pytest.mark.parametrize("place", ["redis"], indirect=True)


def opened(place: Place, query: str = "", **environ: str) -> Store:
    """The store as a home of its own has it, with more in its URL and its environment."""
    given = {**place.environ, **environ}
    store = open_store(state_of(place.url + query), Home.open(place.folder / "own", given), given)
    place.opened.append(store)
    return store


def configured(server: RedisServer, **settings: str) -> None:
    with server.client() as client:
        for name, value in settings.items():
            client.config_set(name.replace("_", "-"), value)


KEPT = {"appendonly": "yes", "appendfsync": "always", "no_appendfsync_on_rewrite": "no", "maxmemory": "0"}
LOSES = [{"appendonly": "no"}, {"appendfsync": "everysec"}, {"no_appendfsync_on_rewrite": "yes"}]


@pytest.mark.parametrize("settings", LOSES, ids=str)
def test_a_server_that_may_lose_what_it_answered_is_refused(
    place: Place, redis: RedisServer, settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Unless the URL accepts the loss, and then a warning says what may be lost."""
    configured(redis, **settings)
    try:
        with pytest.raises(HostUnavailable, match="does not promise to keep") as refused:
            opened(place)
        assert "CONFIG SET appendfsync always" in str(refused.value)
        with caplog.at_level(logging.WARNING):
            add(opened(place, "?power_loss=accepted"), grant())
        assert "may be lost" in caplog.text
    finally:
        configured(redis, **KEPT)


def test_a_server_that_throws_keys_away_is_refused(place: Place, redis: RedisServer) -> None:
    configured(redis, maxmemory="1gb", maxmemory_policy="allkeys-lru")
    try:
        for query in ("", "?power_loss=accepted"):
            with pytest.raises(HostUnavailable, match="throws keys away"):
                opened(place, query)
    finally:
        configured(redis, maxmemory="0", maxmemory_policy="noeviction")


def test_a_server_that_does_not_tell_is_refused(place: Place, redis: RedisServer) -> None:
    """A user of it who may not read its configuration."""
    with redis.client() as client:
        client.acl_setuser(
            "sandbox", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"], commands=["+@all", "-config"]
        )
    url = place.url.replace("unix://", "unix://sandbox@")
    home = Home.open(place.folder / "own", place.environ)
    environ = {**place.environ, "SANDBOX_STATE_PASSWORD": PASSWORD}
    with pytest.raises(HostUnavailable, match="`appendonly` is `not told`"):
        open_store(state_of(url), home, environ)
    open_store(state_of(f"{url}?power_loss=accepted"), home, environ).close()


def test_a_wrong_password_is_told_without_it(place: Place) -> None:
    with redis_server(password=PASSWORD) as locked:
        theirs = Place("redis", place.folder, locked)
        for environ in ({}, {"SANDBOX_STATE_PASSWORD": "canary-of-another"}):
            with pytest.raises(HostUnavailable, match="does not let us in") as refused:
                opened(theirs, **environ)
            assert "SANDBOX_STATE_PASSWORD" in str(refused.value)
            assert "canary" not in str(refused.value)
        add(opened(theirs, SANDBOX_STATE_PASSWORD=PASSWORD), grant())
        theirs.close()


def test_over_tls_who_is_not_trusted_is_not_spoken_to(place: Place, tmp_path: Path) -> None:
    """By a server of another's certificate, and by one whose certificate is for another host."""
    trusted, port = trustme.CA(), free_port()
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    certificate = trusted.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    files = {"cert-file": "cert.pem", "key-file": "key.pem", "ca-cert-file": "ca.pem"}
    words = [word for name, file in files.items() for word in (f"--tls-{name}", str(tmp_path / file))]
    with redis_server(options=(*DURABLE, "--tls-port", str(port), "--tls-auth-clients", "no", *words)):
        home = Home.open(place.folder / "own", place.environ)
        for refused in (
            f"localhost:{port}?ca={tmp_path}/other.pem",
            f"localhost:{port}",
            f"127.0.0.1:{port}?ca={tmp_path}/ca.pem",
        ):
            with pytest.raises(HostUnavailable, match="certificate verify failed"):
                open_store(state_of(f"rediss://{refused}"), home, place.environ)
        store = open_store(state_of(f"rediss://localhost:{port}?ca={tmp_path}/ca.pem"), home, place.environ)
        add(store, grant())
        store.close()


def test_a_password_may_be_a_secret_of_the_home(place: Place) -> None:
    with redis_server(password=PASSWORD) as locked:
        theirs = Place("redis", place.folder, locked)
        SecretStore.of(Home.open(place.folder / "own", place.environ), place.environ).set("state/password", PASSWORD, NOW)
        add(opened(theirs), grant())
        theirs.close()


def test_a_store_that_another_key_has_sealed_is_refused(place: Place, state: Store, tmp_path: Path) -> None:
    """A second machine without the key, and with one of its own: nothing is made, and the help says what to copy."""
    add(state, grant())
    elsewhere = {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}
    with pytest.raises(HostUnavailable, match="is not there") as refused:
        opened(place, **elsewhere)
    assert "SANDBOX_SECRETS_KEY" in str(refused.value)
    assert not key_place(elsewhere).exists()
    key_place(elsewhere).parent.mkdir(parents=True)
    key_place(elsewhere).write_text("ab" * 32 + "\n")
    key_place(elsewhere).chmod(0o600)
    with pytest.raises(HostUnavailable, match="is another one"):
        opened(place, **elsewhere)
    opened(place, SANDBOX_SECRETS_KEY=str(key_place(place.environ)), **elsewhere)


def test_a_store_of_another_version_is_refused(place: Place, state: Store, redis: RedisServer) -> None:
    with redis.client() as client:
        client.hset(tables.META, "schema", "99")
    with pytest.raises(HostUnavailable, match="schema 99"):
        opened(place)


def test_a_lost_server_gives_nothing_and_nobody_waits_for_it_twice(place: Place, state: Store, redis: RedisServer) -> None:
    add(state, grant())
    redis.pause()
    try:
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(LostError, match="does not answer"):
                state.grants(NOW)
        with pytest.raises(LostError):
            add(state, grant(2))
        assert time.monotonic() - began < 12, "each waits a second"
    finally:
        redis.resume()
    state._tables._link.found()  # type: ignore[attr-defined] # as the one who listens says when it is there again
    assert [one.id for one in state.grants(NOW)] == ["g-00000001"]


def test_a_server_started_again_is_used_again(place: Place, state: Store, redis: RedisServer) -> None:
    add(state, grant(1))
    redis.kill()
    with pytest.raises(LostError):
        state.grants(NOW)
    redis.start()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            assert [one.id for one in state.grants(NOW)] == ["g-00000001"]
            break
        except LostError:
            time.sleep(0.05)
    add(state, grant(2))
    assert len(place.open("another").grants(NOW)) == 2


def test_a_change_that_was_not_answered_is_told_so_and_then_seen_as_it_is(place: Place, state: Store, redis: RedisServer) -> None:
    """The server hangs in the moment of the change, and makes it when it wakes: nobody was told that it was made."""
    with pytest.raises(LostError):
        state.add_grant(grant(1), before_commit=redis.pause)
    redis.resume()
    other = place.open("another")
    until = time.monotonic() + 5
    while not other.grants(NOW) and time.monotonic() < until:
        time.sleep(0.01)
    state._tables._link.found()  # type: ignore[attr-defined] # as above
    assert state.grants(NOW) == other.grants(NOW) == (grant(1),)
    add(state, grant(2))
    assert len(other.grants(NOW)) == 2


def test_a_change_whose_answer_was_lost_is_asked_for_again(place: Place, state: Store, redis: RedisServer) -> None:
    """The server wakes before it is given up: the change was made, once, and is acknowledged."""
    waking = threading.Timer(1.3, redis.resume)

    def hang() -> None:
        redis.pause()
        waking.start()

    state.add_grant(grant(1), before_commit=hang)
    waking.join()
    assert place.open("another").grants(NOW) == (grant(1),)


def test_a_process_that_dies_in_a_change_holds_the_others_up_for_a_second_and_changes_nothing(place: Place) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _, status = os.waitpid(forked(lambda: place.open("another").add_grant(grant(1), before_commit=die)), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    state = place.open()
    began = time.monotonic()
    assert state.grants(NOW) == (), "to read, nobody waits"
    assert time.monotonic() - began < tables.LOCK_MS / 1000
    add(state, grant(2))
    assert time.monotonic() - began < tables.LOCK_MS / 1000 + 8


def test_a_slow_change_is_made_unless_somebody_came_between(place: Place, state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LOCK_MS", 20)
    state.add_grant(grant(1), before_commit=lambda: time.sleep(0.05))
    other = place.open("another")

    def let_another_one_in() -> None:
        time.sleep(0.05)
        add(other, grant(2))

    with pytest.raises(HostUnavailable, match="was not made"):
        state.add_grant(grant(3), before_commit=let_another_one_in)
    assert [one.id for one in state.grants(NOW)] == ["g-00000001", "g-00000002"] == [one.id for one in other.grants(NOW)]


def test_who_is_far_behind_reads_everything_anew(place: Place, state: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LOG", 20)
    behind = place.open("behind")
    add(behind, grant(0))
    for number in range(1, 30):
        add(state, grant(number))
        state.end_grant(f"g-{number - 1:08x}", NOW, "revoked")
    assert [one.id for one in behind.grants(NOW)] == ["g-0000001d"] == [one.id for one in state.grants(NOW)]
    add(behind, grant(99))
    assert len(state.grants(NOW)) == 2


def test_a_server_put_back_to_an_older_copy_is_noticed_by_all_who_saw_more(
    place: Place, state: Store, redis: RedisServer
) -> None:
    add(state, grant(1))
    with redis.client() as client:
        copy = {key: client.dump(key) for key in client.keys("*")}
        other = place.open("another")
        state.end_grant("g-00000001", NOW, "revoked")
        assert other.grants(NOW) == ()
        client.flushall()
        for key, value in copy.items():
            client.restore(key, 0, value)
    for store in (state, other, place.open(), place.open("another")):
        with pytest.raises(StoreChangedError, match="an old copy"):
            store.grants(NOW)


def test_a_use_is_counted_once_by_servers_that_count_together(place: Place) -> None:
    add(place.open(), grant(1, max_uses=10))
    reading, writing = os.pipe()

    def use(home: int) -> None:
        mine = place.open(f"home-{home}")
        for _ in range(10):
            if mine.take_uses(["g-00000001"], NOW):
                os.write(writing, b"x")

    for pid in [forked(partial(use, home)) for home in range(3)]:
        os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert len(pipe.read()) == 10
