"""A request of the gate's own through native `wasi:http` to the egress gateway: the way of a socket's bytes, or of a lookup.

Decides nothing: the gateway judges, and its status says what became of it. A request is full duplex there: its body's
output stream and its answer's input stream are what a connected socket hands to the guest, native both, with native pollables.

Rules: the request is under way before it is known where it leads (a guest may wait on a socket that it has not connected
yet); every handle here is a box of our own, freed once; `close` waits until the gateway has passed on what the guest wrote
(the gateway bounds that), since the call's end cuts whatever is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.host.gates.call import Call
from sandbox.host.gates.egress import NUMBERS, Egress
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.passthrough import Native
from sandbox.host.gates.native.values import Case, Handle, Ok
from sandbox.template.sockets import LOOKUP, TCP

_NEVER = 24 * 3600 * 10**9
"""Nanoseconds. The native client's own timeouts are ten minutes; the call's deadline and the gateway's caps are what counts."""
_READ = 1 << 16
ACCEPTED, LOST = 200, 0


@dataclass(slots=True, eq=False)
class Tunnel:
    """One request, its handles as boxes of our own (0 where there is none, or it was given away)."""

    native: Native
    egress: Egress
    number: int
    future: int
    body: int = 0
    output: int = 0
    response: int = 0
    incoming: int = 0
    source: int = 0

    @property
    def pollable(self) -> Handle:
        """A new native pollable that is ready once the gateway has answered."""
        return Handle(self.native.invoke("future-incoming-response-subscribe", Handle(self.future)).pointer)

    def status(self) -> int | None:
        """What the gateway answered: `ACCEPTED`, another status, `LOST` where it is gone; None while it has not."""
        if not self.response:
            pollable = self.pollable
            # The future moves only while somebody polls it, and the guest may ask without.
            ready = self.native.invoke("pollable-ready", pollable)
            self.native.drop(pollable.pointer)
            got = self.native.invoke("future-incoming-response-get", Handle(self.future)) if ready else None
            if got is None:
                return None
            answer = got.value
            if not (isinstance(got, Ok) and isinstance(answer, Ok)):
                return LOST
            self.response = answer.value.pointer
        return int(self.native.invoke("incoming-response-status", Handle(self.response)))

    def streams(self) -> tuple[Handle, Handle]:
        """The input and the output stream, for the guest to have: once, after `ACCEPTED`."""
        self._consume()
        source, output = Handle(self.source), Handle(self.output)
        self.source = self.output = 0
        return source, output

    def read(self) -> bytes:
        """The whole answer, of a lookup."""
        self._consume()
        found = b""
        while isinstance(part := self.native.invoke("input-stream-blocking-read", Handle(self.source), _READ), Ok):
            found += bytes(part.value)
        return found

    def _consume(self) -> None:
        incoming = self.native.invoke("incoming-response-consume", Handle(self.response)).value
        self.incoming = incoming.pointer
        self.source = self.native.invoke("incoming-body-stream", incoming).value.pointer

    def close(self) -> None:
        """The guest dropped a connected socket, its streams before it: everything it wrote goes out, then this is over."""
        self.egress.end(self.number, "close")
        self._spend("outgoing-body-finish", "body", values.none)
        trailers = self._spend("incoming-body-finish", "incoming")
        pollable = self.native.invoke("future-trailers-subscribe", trailers)
        self.native.invoke("pollable-block", pollable, returns=False)
        for handle in (pollable, trailers):
            self.native.drop(handle.pointer)
        self.drop()

    def drop(self) -> None:
        """Give up everything that is left; what is not finished ends by a reset."""
        for name in ("source", "output", "incoming", "body", "response", "future"):
            pointer = getattr(self, name)
            setattr(self, name, 0)
            if pointer:
                _let_go(self.native.context, pointer)

    def forget(self) -> None:
        """Free the boxes; the store closes what they name."""
        for name in ("source", "output", "incoming", "body", "response", "future"):
            pointer = getattr(self, name)
            setattr(self, name, 0)
            if pointer:
                ffi.any_delete(pointer)

    def _spend(self, function: str, name: str, *rest: Any) -> Any:
        """Call a function that takes the handle `name`."""
        pointer = getattr(self, name)
        setattr(self, name, 0)
        try:
            return self.native.invoke(function, Handle(pointer), *rest)
        finally:
            ffi.any_delete(pointer)


def open_tunnel(call: Call, egress: Egress) -> Tunnel:
    """The way of a socket's bytes, which leads nowhere yet. Raises OSError where the gateway is gone."""
    return _open(call, egress, "POST", TCP, "")


def open_lookup(call: Call, egress: Egress, name: str) -> Tunnel:
    """A question for the addresses of `name`. Raises OSError where the gateway is gone."""
    return _open(call, egress, "GET", LOOKUP, name)


def _open(call: Call, egress: Egress, method: str, scheme: str, authority: str) -> Tunnel:
    number, native = next(NUMBERS), call.tunnel
    egress.announce(number, method, scheme, authority, "")
    call.requests += 1
    request = _request(native, method, f"127.0.0.1:{egress.port}", f"/{egress.token}/{number}")
    body = output = 0
    if method == "POST":
        written = native.invoke("outgoing-request-body", request).value
        body, output = written.pointer, native.invoke("outgoing-body-write", written).value.pointer
    options = _options(native)
    future = native.invoke("handle", request, values.some(options)).value
    for spent in (request, options):
        ffi.any_delete(spent.pointer)
    return Tunnel(native, egress, number, future.pointer, body, output)


def _request(native: Native, method: str, authority: str, path: str) -> Handle:
    fields = native.invoke("new-fields")
    request: Handle = native.invoke("new-outgoing-request", fields)
    ffi.any_delete(fields.pointer)
    native.invoke("outgoing-request-set-method", request, Case(method.lower()))
    native.invoke("outgoing-request-set-scheme", request, values.some(Case("HTTP")))
    native.invoke("outgoing-request-set-authority", request, values.some(authority))
    native.invoke("outgoing-request-set-path-with-query", request, values.some(path))
    return request


def _options(native: Native) -> Handle:
    options: Handle = native.invoke("new-request-options")
    for name in ("first-byte", "between-bytes"):
        native.invoke(f"request-options-set-{name}-timeout", options, values.some(_NEVER))
    return options


def _let_go(context: int, pointer: int) -> None:
    error = ffi.any_drop(context, pointer)
    if error:
        # A guest holds a child of it still; then the store's end is its end.
        ffi.error_delete(error)
    ffi.any_delete(pointer)
