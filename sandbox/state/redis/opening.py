"""Open the store on a Redis or Valkey server, or say why it cannot be kept there.

Decides that the server keeps what it has answered: an append-only file that is on the disk before the answer, and nothing thrown
away for want of memory. A server that does not promise it is refused, or used with a warning where the URL accepts the loss. The
key of the codes is made of this user's key and of the store's own name, so servers that share a store share that key.

Source: the Redis documentation, "Redis persistence" (`appendfsync always`: fsync before the reply) and "Key eviction".
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from sandbox.config.state_url import Server
from sandbox.errors import HostUnavailable
from sandbox.state.authentic import Authentic
from sandbox.state.redis.link import Link
from sandbox.state.redis.tables import META, PREFIX, RedisTables
from sandbox.state.schema import VERSION
from sandbox.state.secret_key import key_place, make_key, read_key
from sandbox.state.store import Store

_LOG = logging.getLogger("sandbox")
_KEPT = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
_KEPT_HELP = (
    "`redis-cli CONFIG SET appendonly yes`, `CONFIG SET appendfsync always`, and both in its configuration file;"
    " or `?power_loss=accepted` in the URL"
)


def redis_store(server: Server, keys: Path, environ: Mapping[str, str], password: str | None) -> Store:
    """The store on a server; `keys` is the folder of the home that is not the store's. Raises HostUnavailable."""
    link = Link(server, password)
    try:
        _refuse_what_would_be_lost(link)
        key = _key(link, key_place(environ))
    except BaseException:
        link.close()
        raise
    name = f"redis-{hashlib.sha256(server.name.encode()).hexdigest()[:16]}"
    return Store(RedisTables(link, Authentic(keys, name, key)))


def _refuse_what_would_be_lost(link: Link) -> None:
    told = _configured(link)
    name = link.server.name
    if told.get("maxmemory", "0") != "0" and told.get("maxmemory-policy", "").startswith("allkeys"):
        help_ = "`redis-cli CONFIG SET maxmemory-policy noeviction`"
        raise HostUnavailable(f"the state server `{name}` throws keys away when its memory is full", help=help_)
    wrong = [f"`{key}` is `{told.get(key, 'not told')}`" for key, wanted in _KEPT.items() if told.get(key) != wanted]
    if not wrong:
        return
    why = f"the state server `{name}` does not promise to keep what it has answered: {', '.join(wrong)}"
    if not link.server.may_lose:
        raise HostUnavailable(why, help=_KEPT_HELP)
    _LOG.warning("%s; a grant or a revoke may be lost with it, and then nothing is granted until a person resets", why)


def _configured(link: Link) -> Mapping[str, str]:
    """What the server says of itself; empty where it does not let us ask."""

    def asked(client: redis.Redis) -> Mapping[str, str]:
        told: dict[Any, Any] = {}
        try:
            for key in (*_KEPT, "maxmemory", "maxmemory-policy"):
                told |= client.config_get(key)
        except (redis.exceptions.NoPermissionError, redis.ResponseError):
            return {}
        return {_text(key): _text(value) for key, value in told.items()}

    found: Mapping[str, str] = link.ask(asked)
    return found


def _key(link: Link, file: Path) -> bytes:
    """The key of the codes in this store; raises HostUnavailable where it is sealed by another user's key."""
    link.ask(lambda client: client.hsetnx(META, "id", secrets.token_hex(16)))
    link.ask(lambda client: client.hsetnx(META, "schema", VERSION))
    known, schema, proof = (_text(each) for each in link.ask(lambda client: client.hmget(META, ["id", "schema", "proof"])))
    if schema != str(VERSION):
        told = f"the store on `{link.server.name}` has schema {schema}, this version reads {VERSION}"
        raise HostUnavailable(told, help="use the version that wrote it, for every server that shares it")
    users = read_key(file)
    if users is None and proof:
        raise _other_key(link, file, "is not there")
    key = hashlib.blake2b(known.encode(), key=users or make_key(file), digest_size=32, person=b"sandbox state").digest()
    own = hashlib.blake2b(b"proof", key=key, digest_size=16).hexdigest()
    link.ask(lambda client: client.hsetnx(META, "proof", own))
    proof = proof or _text(link.ask(lambda client: client.hget(META, "proof")))
    if not hmac.compare_digest(proof, own):
        raise _other_key(link, file, "is another one")
    return key


def _other_key(link: Link, file: Path, what: str) -> HostUnavailable:
    return HostUnavailable(
        f"the store on `{link.server.name}` is sealed by a user's key, and `{file}` {what}",
        help="put the key of the server that made it there, or name it: `SANDBOX_SECRETS_KEY`; if there is no other, something"
        f" else changed the store: it starts anew where all keys are deleted that begin with `{PREFIX}`",
    )


def _text(told: object) -> str:
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else "" if told is None else str(told)
