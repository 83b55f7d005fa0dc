"""What components keep between calls: the host's side of `wasi:keyvalue/store`.

Decides whose values a call reaches, its own component's alone, by the operator's name for it, and how much may be kept: what the
call's template says. Leaves the values to `sandbox.state.keyvalue`.

Rules: a worker's word is read as strictly as any; an error is told to the guest in a few words and to the log in full.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.errors import SandboxError
from sandbox.state.keyvalue import MOST_LISTED, FullError, KeyValues
from sandbox.template.template import KeyValueRule

_LOG = logging.getLogger("sandbox")

LISTED_BYTES = 128 << 10
"""Keys that are told at a time: they go in one frame."""

Keep = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Answers what a call's gate asks of the values."""


@dataclass(slots=True)
class Keeping:
    """The values of one host, opened when a component first has a store."""

    open: Callable[[], KeyValues]
    _values: KeyValues | None = None

    def of_call(self, component: str, rule: KeyValueRule | None) -> Keep | None:
        """What answers for a call of a component; None where it has no store."""
        return None if rule is None else lambda asked: self._answer(component, rule, asked)

    def close(self) -> None:
        """Let go of the values."""
        if self._values is not None:
            self._values.close()

    def _answer(self, component: str, rule: KeyValueRule, asked: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if self._values is None:
                self._values = self.open()
            return _done(self._values, component, rule, asked)
        except FullError as error:
            return {"full": str(error)}
        except SandboxError as error:
            _LOG.error("what `%s` keeps cannot be reached: %s", component, error)
            return {"failed": "the store cannot be reached now"}


def _done(values: KeyValues, component: str, rule: KeyValueRule, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Do one thing. Raises KeyError, TypeError or ValueError for what no gate asks."""
    bucket, key = str(asked["bucket"]), asked["key"]
    match asked["do"]:
        case "get":
            found = values.get(component, bucket, str(key))
            return {"value": None if found is None else base64.b64encode(found).decode("ascii")}
        case "set":
            values.set(component, bucket, str(key), base64.b64decode(asked["value"], validate=True), most=rule.max_bytes)
            return {}
        case "delete":
            return {"there": values.delete(component, bucket, str(key))}
        case "exists":
            return {"there": values.exists(component, bucket, str(key))}
        case "keys":
            return _keys(values.keys(component, bucket, after=asked["after"]))
    raise ValueError(f"nobody asks for {asked['do']!r}")


def _keys(found: tuple[str, ...]) -> dict[str, Any]:
    """As many keys as go in one frame, and whether there may be more."""
    kept: list[str] = []
    size = 0
    for key in found:
        size += len(key.encode())
        if size > LISTED_BYTES and kept:
            break
        kept.append(key)
    return {"keys": kept, "more": len(kept) < len(found) or len(found) >= MOST_LISTED}
