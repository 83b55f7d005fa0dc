"""`wasi:keyvalue/store`: what a component keeps between its calls.

Decides whether there is a store at all: only where the template has one. The values lie with the host, which measures each
change before it makes it; the gate carries what a guest asks, one thing at a time, and waits.

Rules: a bucket is a name among the component's own; what would be too much is the guest's `other` error and a denial; so many
operations a second (`OPERATIONS`) and no more, since each is work of the host's own process.

Source: wasi:keyvalue/store@0.2.0-draft, and -draft2, in which a cursor is a string.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from wasmtime.component import ResourceType

from sandbox.errors import Code
from sandbox.host.gates.call import Call
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.handles import Handles
from sandbox.host.gates.native.interface import Handler, Interface
from sandbox.host.gates.native.passthrough import Passthrough
from sandbox.host.gates.pace import Pace
from sandbox.host.outcome import Denial

BUCKET = 9
"""The number of our resource type."""
OPERATIONS = 500
"""Operations in a second."""
CURSORS = 1_000
"""How many places in its keys a guest may have at a time."""

NAMES = {"wasi:keyvalue/store@0.2.0-draft": False, "wasi:keyvalue/store@0.2.0-draft2": True}
"""The interface's names, and whether a cursor is a string there."""

NONE = "no rule gives it a store; write `state: {keyvalue: {max_size: 1Mi}}` into its policy"


@dataclass(slots=True, eq=False)
class Bucket:
    """A bucket that a guest has open, and the places in its keys where listings may go on."""

    name: str
    cursors: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Kept:
    """The gate's state in one store."""

    call: Call
    handles: Handles
    pace: Pace

    def ask(self, do: str, bucket: str, key: str | None = None, **more: Any) -> dict[str, Any]:
        """The host's answer; raises _RefusedError where it has none to give."""
        self.pace.left -= 1
        if self.pace.left < 0:
            self.pace.hold(lambda _denial: None)
        answer = self.call.bound.keep({"do": do, "bucket": bucket, "key": key, **more})
        if (full := answer.get("full")) is not None:
            self._denied(str(full))
            raise _RefusedError(values.Case("other", str(full)))
        if (failed := answer.get("failed")) is not None:
            raise _RefusedError(values.Case("other", str(failed)))
        return answer

    def _denied(self, why: str) -> None:
        rule = self.call.bound.template.keyvalue
        assert rule is not None
        target = {"resource": "keyvalue", "limit": rule.max_bytes}
        self.call.report(Denial(Code.RESOURCE_LIMIT_EXCEEDED, target, why, rule.origin))


class _RefusedError(Exception):
    """What a guest gets in place of a value: a case of the interface's `error`."""

    def __init__(self, error: values.Case) -> None:
        super().__init__(error.name)
        self.error = error


def interfaces(_passthrough: Passthrough) -> tuple[Interface, ...]:
    """The store, under each of its names."""
    return tuple(Interface(name, _functions(textual=textual), _RESOURCES) for name, textual in NAMES.items())


def _functions(*, textual: bool) -> tuple[tuple[str, Handler], ...]:
    listing = _list_texts if textual else _list_numbers
    methods = {"get": _get, "set": _set, "delete": _delete, "exists": _exists, "list-keys": listing}
    return (("open", _open), *((f"[method]bucket.{name}", _answered(method)) for name, method in methods.items()))


def _kept(call: Call) -> Kept:
    if call.kept is None:
        limits = call.bound.template.limits
        pace = Pace(replace(limits, file_ops=min(limits.file_ops, OPERATIONS)))
        call.kept = Kept(call, Handles(call.context), pace)
    return call.kept  # type: ignore[no-any-return] # each gate keeps its own state in the call


def _dropped(call: Call, rep: int) -> None:
    _kept(call).handles.dropped(rep)


_RESOURCES = (("bucket", ResourceType.host(BUCKET), _dropped),)


def _open(call: Call, arguments: int, results: int) -> None:
    name = values.text(arguments)
    if call.bound.template.keyvalue is None:
        call.report(Denial(Code.RESOURCE_LIMIT_EXCEEDED, {"resource": "keyvalue", "limit": 0}, NONE))
        values.build(results, values.Err(values.Case("access-denied")))
        return
    handle = _kept(call).handles.give(Bucket(name), BUCKET)
    values.build(results, values.Ok(handle))
    ffi.any_delete(handle.pointer)


Method = Callable[[Kept, Bucket, int], Any]
"""What a method answers, given the address of its first argument behind the bucket; the good end of its `result`."""


def _answered(method: Method) -> Handler:
    def handler(call: Call, arguments: int, results: int) -> None:
        kept = _kept(call)
        bucket = kept.handles.take(arguments, Bucket)
        try:
            answer: values.Ok | values.Err = values.Ok(method(kept, bucket, arguments + ffi.SIZE))
        except _RefusedError as refused:
            answer = values.Err(refused.error)
        values.build(results, answer)

    return handler


def _get(kept: Kept, bucket: Bucket, arguments: int) -> Any:
    found = kept.ask("get", bucket.name, values.text(arguments))["value"]
    return values.none if found is None else values.some(values.octets(base64.b64decode(found)))


def _set(kept: Kept, bucket: Bucket, arguments: int) -> None:
    value = base64.b64encode(values.read_octets(arguments + ffi.SIZE)).decode("ascii")
    kept.ask("set", bucket.name, values.text(arguments), value=value)


def _delete(kept: Kept, bucket: Bucket, arguments: int) -> None:
    kept.ask("delete", bucket.name, values.text(arguments))


def _exists(kept: Kept, bucket: Bucket, arguments: int) -> bool:
    return bool(kept.ask("exists", bucket.name, values.text(arguments))["there"])


def _list_texts(kept: Kept, bucket: Bucket, arguments: int) -> dict[str, Any]:
    found = kept.ask("keys", bucket.name, after=values.read(arguments))
    keys = [str(key) for key in found["keys"]]
    return {"keys": keys, "cursor": values.some(keys[-1]) if found["more"] and keys else values.none}


def _list_numbers(kept: Kept, bucket: Bucket, arguments: int) -> dict[str, Any]:
    cursor = values.read(arguments)
    if cursor is not None and cursor not in bucket.cursors:
        raise _RefusedError(values.Case("other", "there is no such cursor"))
    found = kept.ask("keys", bucket.name, after=None if cursor is None else bucket.cursors[cursor])
    keys = [str(key) for key in found["keys"]]
    if not found["more"] or not keys:
        return {"keys": keys, "cursor": values.none}
    if len(bucket.cursors) >= CURSORS:
        raise _RefusedError(values.Case("other", f"a bucket has at most {CURSORS} cursors"))
    following = len(bucket.cursors) + 1
    bucket.cursors[following] = keys[-1]
    return {"keys": keys, "cursor": values.some(following)}
