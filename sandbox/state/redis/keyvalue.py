"""What components keep between calls, on a Redis or Valkey server: the same for every host that shares it.

Decides what `sandbox.state.keyvalue` decides, in the server's own steps: a component's keys are one hash, what they count stands
beside the values, and what would be too much is refused by the step that would make it.
"""

from __future__ import annotations

import json

from sandbox.state import keyvalue
from sandbox.state.keyvalue import Size, counted, refuse_what_is_too_long, refuse_what_is_too_much
from sandbox.state.redis.link import Link

_PREFIX = "{sandbox}:kept"

# KEYS: the values, the sizes. A value's field is its bucket and key; what it counts follows from the lengths of both.
_SET = """
local before = redis.call('HSTRLEN', KEYS[1], ARGV[2])
local there = redis.call('HEXISTS', KEYS[1], ARGV[2])
local keys = redis.call('HLEN', KEYS[1]) + 1 - there
local held = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
local bytes = held + tonumber(ARGV[4]) - there * (tonumber(ARGV[4]) - #ARGV[3] + before)
if (keys > tonumber(ARGV[5]) and there == 0) or (bytes > tonumber(ARGV[6]) and bytes > held) then return {keys, bytes} end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], bytes)
return {}
"""
_DELETE = """
local before = redis.call('HSTRLEN', KEYS[1], ARGV[2])
if redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], ARGV[1], -(tonumber(ARGV[3]) + before))
return 1
"""
_FORGET = "redis.call('DEL', KEYS[1]) redis.call('HDEL', KEYS[2], ARGV[1])"


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
        found = map(json.loads, self._link.ask(lambda client: client.hkeys(_values(component))))
        mine = sorted((key for where, key in found if where == bucket), key=str.encode)
        start = b"" if after is None else after.encode()
        return tuple(key for key in mine if after is None or key.encode() > start)[: keyvalue.MOST_LISTED]

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
    return [_values(component), f"{_PREFIX}:sizes"]


def _field(bucket: str, key: str) -> str:
    return json.dumps([bucket, key])
