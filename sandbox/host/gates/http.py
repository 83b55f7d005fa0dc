"""`wasi:http/outgoing-handler`: a request leaves for the egress gateway, or it does not leave.

Decides by the template's network rules, on the method, scheme, authority and path that the native request itself holds. The
gateway resolves the name, judges again and dials; the body and the answer stay native streams between guest and gateway.

Rules: everything is read before anything is decided, so the guest cannot change it in between; the gateway hears what the
request really asks for before the request can arrive; a setter that fails refuses the request, or it would go where the guest
said; no authority is an error, never made up from anything (NET-13); every exit drops the request and its options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandbox.errors import Code
from sandbox.host.gates.call import Call
from sandbox.host.gates.egress import NUMBERS, Egress
from sandbox.host.gates.native import ffi, values
from sandbox.host.gates.native.interface import Interface
from sandbox.host.gates.native.passthrough import Native, Passthrough, check
from sandbox.host.outcome import Denial
from sandbox.template.authority import DEFAULT_PORTS, Authority, AuthorityError, normalise_authority
from sandbox.template.network import NetworkDecision
from sandbox.template.url_path import TARGET_LENGTH

# The native setters take a method of any length.
_WORD, _HOST, _REASON = 64, 253, 512
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_DENIED = values.Err(values.Case("HTTP-request-denied"))
_NO_TARGET = values.Err(values.Case("HTTP-request-URI-invalid"))
_NO_GATEWAY = values.Err(values.Case("internal-error", values.some("the way out is closed")))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself; `scheme` is lower case, None where the guest set none."""

    method: str
    scheme: str | None
    authority: str | None
    path: str


def interfaces(passthrough: Passthrough) -> tuple[Interface, ...]:
    """The handler, with the native resources that it names."""
    names = ("outgoing-request", "request-options", "future-incoming-response")
    resources = tuple((name, passthrough.resources[name], None) for name in names)
    return (Interface("wasi:http/outgoing-handler@0.2.12", (("handle", _handle),), resources),)


def _handle(call: Call, arguments: int, results: int) -> None:
    request = values.Handle(values.resource(arguments))
    refusal = _refusal(call, request)
    if refusal is None:
        # The native handler takes the request and its options, and writes the guest's result.
        call.native.forward("handle", arguments, 2, results)
        return
    _drop(call, arguments)
    values.build(results, refusal)


def _refusal(call: Call, request: values.Handle) -> values.Err | None:
    """Why the request stays here; None where it is ready to go to the gateway."""
    asked = read_request(call.native, request)
    if asked.authority is None:
        return _NO_TARGET
    scheme = asked.scheme or "https"
    try:
        authority = normalise_authority(asked.authority, scheme)
    except AuthorityError as error:
        _report(call, asked, asked.authority, None, NetworkDecision(False, None, str(error)))
        return _DENIED
    decided = _decide(call, asked, scheme, authority)
    if not decided.allowed:
        _report(call, asked, authority.host, authority.port, decided)
        return _DENIED
    if call.bound.egress is None:
        return _NO_GATEWAY
    return _send_out(call, request, Asked(asked.method, scheme, authority.text, asked.path), call.bound.egress)


def _decide(call: Call, asked: Asked, scheme: str, authority: Authority) -> NetworkDecision:
    rules = call.bound.network
    if not rules.reachable:
        return NetworkDecision(False, None, "the policy grants no network")
    if scheme not in DEFAULT_PORTS:
        # A rule may name tcp, and a request over it is none.
        return NetworkDecision(False, None, f"`{scheme[:_WORD]}` is no scheme of a request")
    if asked.method.upper() == "CONNECT" or not _METHOD.fullmatch(asked.method):
        return NetworkDecision(False, None, f"`{asked.method[:64]}` is no method that can be judged")
    return rules.decide(scheme, authority.host, authority.port, asked.method, asked.path)


def _send_out(call: Call, request: values.Handle, asked: Asked, egress: Egress) -> values.Err | None:
    number = next(NUMBERS)
    target = f"/{egress.token}/{number}"
    if not _rewrite(call.native, request, f"127.0.0.1:{egress.port}", target):
        return _DENIED
    try:
        egress.announce(number, asked.method, asked.scheme or "", asked.authority or "", asked.path)
    except OSError:
        # The gateway is gone, and with it every way out; the server knows, it holds the other end.
        return _NO_GATEWAY
    call.requests += 1
    return None


def read_request(native: Native, request: values.Handle) -> Asked:
    """Method, scheme, authority and path of a native request."""
    method = native.invoke("outgoing-request-method", request)
    scheme = native.invoke("outgoing-request-scheme", request)
    return Asked(
        method=method.payload if method.name == "other" else method.name.upper(),
        scheme=None if scheme is None else (scheme.payload if scheme.name == "other" else scheme.name).lower(),
        authority=native.invoke("outgoing-request-authority", request),
        path=native.invoke("outgoing-request-path-with-query", request) or "/",
    )


def _rewrite(native: Native, request: values.Handle, authority: str, path: str) -> bool:
    steps = (
        ("outgoing-request-set-scheme", values.Case("HTTP")),
        ("outgoing-request-set-authority", authority),
        ("outgoing-request-set-path-with-query", path),
    )
    return all(isinstance(native.invoke(name, request, values.some(value)), values.Ok) for name, value in steps)


def _drop(call: Call, arguments: int) -> None:
    """Drop the request and, where there are any, its options: they were given to the handler."""
    check(ffi.any_drop(call.context, values.resource(arguments)))
    options = values.word(arguments + ffi.SIZE + ffi.PAYLOAD)
    if options:
        check(ffi.any_drop(call.context, values.resource(options)))


def _report(call: Call, asked: Asked, host: str, port: int | None, decided: NetworkDecision) -> None:
    target = {
        "scheme": asked.scheme or "https",
        "host": _shown(host, _HOST),
        "port": port,
        "method": _shown(asked.method, _WORD),
        "path": _shown(asked.path.partition("?")[0], TARGET_LENGTH),
    }
    call.report(Denial(Code.NETWORK_ACCESS_DENIED, target, _shown(decided.reason, _REASON), decided.origin))


def _shown(text: str, most: int) -> str:
    """What of a guest's words a denial tells: it goes to the record, the store and the client."""
    return text if len(text) <= most else f"{text[:most]}…"
