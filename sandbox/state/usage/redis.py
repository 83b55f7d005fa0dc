"""Counts in Redis or Valkey: for several servers, which then share budgets and rates.

Rules: every check-and-change is one script (`sandbox.state.usage.lua`); what the server does not answer, or refuses, is an error
and so a denial, never a zero; a step that was sent and not answered is not sent again, since it may have been made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any

import redis

from sandbox.admission.spending.counting import (
    KEPT_MS,
    SPENT_OF,
    SPENT_ON,
    USED_UP,
    Change,
    Claim,
    Full,
    Gate,
    Shut,
    Spent,
    Taken,
    judged,
)
from sandbox.state.redis.link import Link
from sandbox.state.usage import lua

PREFIX = "sandbox:usage:"
HOURS_KEPT_MS = 400 * 86_400_000


class RedisUsage:
    """Counts on a server; the interface is `sandbox.admission.spending.counting.UsageStore`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._take, self._add, self._shut_script = map(link.script, (lua.TAKE, lua.ADD, lua.SHUT))
        self._shut_key = f"{PREFIX}shut"

    def take(self, claims: Sequence[Claim], gates: Sequence[Gate], now_ms: int) -> Taken | Full | Shut:
        """Take all claims or none."""
        told: list[Any] = [now_ms, len(claims), len(gates), KEPT_MS, USED_UP]
        for one in claims:
            told += [one.slot, one.amount, "" if one.limit is None else one.limit, one.span, one.latch or ""]
        for gate in gates:
            told += [gate.name, gate.trial_ms]
        kind, *said = self._take([*(_counter(one.key) for one in claims), self._shut_key], told)
        if kind == b"shut":
            return _shut_of(said[0].decode(), b" ".join(said[1:]))
        if kind == b"full":
            return Full(dict(_full(said)))
        numbers, trials = said[: 2 * len(claims)], said[2 * len(claims) :]
        return Taken(tuple(map(int, numbers[::2])), tuple(map(int, numbers[1::2])), tuple(one.decode() for one in trials))

    def add(self, changes: Sequence[Change], now_ms: int, spent: Sequence[Spent] = ()) -> tuple[int, ...]:  # noqa: ARG002 - the interface's
        """Make the changes."""
        hours = sorted({row.hour for row in spent})
        fields = [
            (hours.index(row.hour) + 1, _spent_field(row, name), amount)
            for row in spent
            for name in SPENT_OF
            if (amount := getattr(row, name))
        ]
        told: list[Any] = [len(changes), len(fields), KEPT_MS, HOURS_KEPT_MS]
        for one in changes:
            told += [one.slot, one.amount, one.span]
        for field in fields:
            told += field
        keys = [*(_counter(one.key) for one in changes), *(_hour(hour) for hour in hours)]
        return tuple(map(int, self._add(keys, told)))

    def held(self, windows: Sequence[Claim]) -> tuple[int, ...]:
        """What the windows hold."""
        if not windows:
            return ()

        def read(client: redis.Redis) -> list[dict[bytes, bytes]]:
            pipe = client.pipeline(transaction=True)
            for one in windows:
                pipe.hgetall(_counter(one.key))
            return list(pipe.execute())

        found = [{int(slot): int(held) for slot, held in slots.items()} for slots in self._link.ask(read)]
        return tuple(judged(slots, one.slot, one.span)[1] for slots, one in zip(found, windows, strict=True))

    def shut(self, gate: Shut) -> None:
        """Shut a gate."""
        until = -1 if gate.until_ms is None else gate.until_ms
        self._shut_script([self._shut_key], [gate.name, f"{until} {gate.since_ms} {gate.why}"])

    def open(self, name: str) -> bool:
        """Open a gate."""
        return bool(self._link.ask(lambda client: client.hdel(self._shut_key, name)))

    def gates(self, prefix: str = "") -> tuple[Shut, ...]:
        """The gates that are shut."""
        found = self._link.ask(lambda client: client.hgetall(self._shut_key))
        shut = (_shut_of(name.decode(), said) for name, said in sorted(found.items()))
        return tuple(one for one in shut if one.name.startswith(prefix))

    def forget(self, prefix: str) -> None:
        """Forget counters."""
        wanted = _counter(prefix).encode()
        keys = self._link.ask(lambda client: list(client.scan_iter(match=f"{PREFIX}count:*", count=1000)))
        if found := [key for key in keys if key.startswith(wanted)]:
            self._link.ask(lambda client: client.delete(*found))

    def spent(self, since_hour: int, until_hour: int) -> tuple[Spent, ...]:
        """What was spent."""
        hours = range(max(since_hour, 0), until_hour)
        keys = self._link.ask(lambda client: list(client.scan_iter(match=_hour("*"), count=1000)))
        there = [int(key.rsplit(b":", 1)[1]) for key in keys]
        return tuple(row for hour in sorted(there) if hour in hours for row in self._hour(hour))

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()

    def _hour(self, hour: int) -> Iterator[Spent]:
        rows: dict[str, dict[str, Any]] = {}
        for field, amount in self._link.ask(lambda client: client.hgetall(_hour(hour))).items():
            on, name = json.loads(field)
            rows.setdefault(json.dumps(on), {})[name] = int(amount)
        for on, amounts in rows.items():
            yield Spent(hour, *json.loads(on), **amounts)


def _counter(key: str) -> str:
    return f"{PREFIX}count:{key}"


def _hour(hour: int | str) -> str:
    return f"{PREFIX}spent:{hour}"


def _spent_field(row: Spent, name: str) -> str:
    return json.dumps([astuple(row)[1 : len(SPENT_ON)], name])


def _shut_of(name: str, said: bytes) -> Shut:
    until, since, why = said.decode().split(" ", 2)
    return Shut(name, None if int(until) < 0 else int(until), why, int(since))


def _full(said: Sequence[bytes]) -> Iterator[tuple[int, dict[int, int]]]:
    at = 0
    while at < len(said):
        number, length = int(said[at]), int(said[at + 1])
        flat = said[at + 2 : at + 2 + length]
        yield number, {int(slot): int(held) for slot, held in zip(flat[::2], flat[1::2], strict=True)}
        at += 2 + length
