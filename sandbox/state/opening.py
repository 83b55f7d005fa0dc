"""Open the store that belongs to a place. A server's client is loaded only where the place is one."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping

from sandbox.config.state_url import PASSWORD_SECRET, PASSWORD_VARIABLE, StatePlace, parse_state
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import Refusal
from sandbox.state.authentic import Authentic
from sandbox.state.home import Home
from sandbox.state.keyvalue import KeyValues, SqliteKeyValues
from sandbox.state.memory import memory_store
from sandbox.state.secret_key import key_place, make_key, read_key
from sandbox.state.secrets import SecretStore
from sandbox.state.sqlite import SqliteTables, sqlite_store
from sandbox.state.store import Store


def state_of(text: str) -> StatePlace:
    """The place that a text names; raises SandboxError."""
    try:
        return parse_state(text)
    except Refusal as refusal:
        raise SandboxError(refusal.message, help=refusal.help, code=Code.INVALID_ARGUMENTS) from None


def open_store(place: StatePlace, home: Home, environ: Mapping[str, str]) -> Store:
    """The store of a home at a place; raises HostUnavailable where it cannot be used."""
    if place.kind == "memory":
        return memory_store()
    if place.server is not None:
        password = password_of(home, environ)
        opened: Store = importlib.import_module("sandbox.state.redis.opening").redis_store(
            place.server, home.keys, environ, password
        )
        return opened
    if place.path is None:
        return sqlite_store(home.state)
    file = key_place(environ)
    # Not the home's own key: a store that lies elsewhere may be of several homes.
    key = hashlib.blake2b(b"sqlite", key=read_key(file) or make_key(file), digest_size=32, person=b"sandbox state").digest()
    name = f"sqlite-{hashlib.sha256(str(place.path).encode()).hexdigest()[:16]}"
    return Store(SqliteTables(place.path, Authentic(home.keys, name, key)))


def password_of(home: Home, environ: Mapping[str, str]) -> str | None:
    """The state server's password: the variable, else the secret; None where there is neither."""
    return environ.get(PASSWORD_VARIABLE) or SecretStore.of(home, environ).values().get(PASSWORD_SECRET)


def open_key_values(place: StatePlace, home: Home, environ: Mapping[str, str]) -> KeyValues:
    """What the components of a home keep, at a place; raises HostUnavailable where it cannot be used."""
    if place.server is not None:
        link = importlib.import_module("sandbox.state.redis.link").Link(place.server, password_of(home, environ))
        opened: KeyValues = importlib.import_module("sandbox.state.redis.keyvalue").RedisKeyValues(link)
        return opened
    if place.kind == "memory":
        return SqliteKeyValues(None)
    return SqliteKeyValues((home.state if place.path is None else place.path.parent) / "values.sqlite")
