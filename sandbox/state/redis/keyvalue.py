"""What components keep between calls, on a Redis or Valkey server: the same for every host that shares it.

Decides what `sandbox.state.keyvalue` decides, in the server's own steps: a component's values are one hash, their names in
their order a sorted set, so that a page of them costs a page; what they count stands beside them, and what would be too much is
refused by the step that would make it.
"""

from __future__ import annotations

from sandbox.state import keyvalue
from sandbox.state.keyvalue import Size, counted, refuse_what_is_too_long, refuse_what_is_too_much
from sandbox.state.redis.link import Link

_PREFIX = "{sandbox}:kept"
_BEHIND = b"\xff"
"""Behind every key: no text has this byte."""

# KEYS: the values, the sizes, the names. A value's field, and its name, is its bucket and key; what it counts follows from the
# lengths of both.
_SET = """
local before = redis.call('HSTRLEN', KEYS[1], ARGV[2])
local there = redis.call('HEXISTS', KEYS[1], ARGV[2])
local keys = redis.call('HLEN', KEYS[1]) + 1 - there
local held = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local bytes = held + tonumber(ARGV[4]) - there * (tonumber(ARGV[4]) - #ARGV[3] + before)
if (keys > tonumber(ARGV[5]) and there == 0) or (bytes > tonumber(ARGV[6]) and bytes > held) then return {keys, bytes} end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], bytes)
return {}
"""
_DELETE = """
local before = redis.call('HSTRLEN', KEYS[1], ARGV[2])
if redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('HINCRBY', KEYS[2], ARGV[1], -(tonumber(ARGV[3]) + before))
return 1
"""
_FORGET = "redis.call('DEL', KEYS[1], KEYS[3]) redis.call('HDEL', KEYS[2], ARGV[1])"


class RedisKeyValues:
    """Values behind `link`; the interface is `sandbox.state.keyvalue.KeyValues`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._set, self._delete, self._forget = link.script(_SET), link.script(_DELETE), link.script(_FORGET)

    def close(self) -> None:
        """Let go of the server."""
        self._link.close()

    def get(self, component: str, bucket: str, key: str) -> bytes | None:
        """A value."""
        found: bytes | None = self._link.ask(lambda client: client.hget(_values(component), _field(bucket, key)))
        return found

    def exists(self, component: str, bucket: str, key: str) -> bool:
        """Whether there is such a key."""
        return bool(self._link.ask(lambda client: client.hexists(_values(component), _field(bucket, key))))

    def set(self, component: str, bucket: str, key: str, value: bytes, *, most: int = keyvalue.MAX_BYTES) -> None:
        """Keep a value."""
        refuse_what_is_too_long(bucket, key, value)
        told = [component, _field(bucket, key), value, counted(bucket, key, len(value)), keyvalue.MAX_KEYS, most]
        if refused := self._set(_keys(component), told):
            refuse_what_is_too_much(component, Size(*refused), most)

    def delete(self, component: str, bucket: str, key: str) -> bool:
        """Forget a key."""
        return bool(self._delete(_keys(component), [component, _field(bucket, key), counted(bucket, key, 0)]))

    def keys(self, component: str, bucket: str, *, after: str | None = None) -> tuple[str, ...]:
        """Keys in their order."""
        start, most = _field(bucket, ""), keyvalue.MOST_LISTED
        first = b"[" + start if after is None else b"(" + _field(bucket, after)
        last = b"(" + start + _BEHIND
        found = self._link.ask(lambda client: client.zrangebylex(_keys(component)[2], first, last, 0, most))
        return tuple(name[len(start) :].decode() for name in found)

    def size(self, component: str) -> Size:
        """How much a component keeps."""
        held = self._link.ask(lambda client: client.hget(_keys(component)[1], component))
        return Size(self._link.ask(lambda client: client.hlen(_values(component))), int(held or 0))

    def forget(self, component: str) -> None:
        """Forget everything of a component."""
        self._forget(_keys(component), [component])


def _values(component: str) -> str:
    return f"{_PREFIX}:values:{component}"


def _keys(component: str) -> list[str]:
    return [_values(component), f"{_PREFIX}:sizes", f"{_PREFIX}:names:{component}"]


def _field(bucket: str, key: str) -> bytes:
    """The bucket, after its length, and the key: of one bucket they are in the order of the keys, and nobody else's between."""
    where = bucket.encode()
    return b"%d:%b%b" % (len(where), where, key.encode())
