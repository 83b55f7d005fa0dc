"""A collector of OpenTelemetry's: the operator's words for where traces and records go.

Values and their reading. Only this host's own configuration names one: no `OTEL_…` variable does, no policy and no project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from sandbox.policy.refusal import Refusal, quoted

_HELP = "write `endpoint: https://collector.example.com:4318`"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_OURS = frozenset({"content-type", "content-length", "content-encoding", "host", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Collector:
    """Where a collector is, the secrets that its headers hold by their names, and what it is told.

    `sample` is the share of calls that is traced where the client does not say so; with `records` it gets every record too.
    """

    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    sample: float = 1.0
    records: bool = False


def parse_endpoint(text: str) -> str:
    """The URL that `/v1/traces` and `/v1/logs` are below; raises `Refusal`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refusal(f"{quoted(text)} is no URL: {error}", _HELP) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not text.isprintable() or " " in text:
        raise Refusal(f"{quoted(text)} is no collector's address", f"OTLP goes over HTTP, as protobuf: {_HELP}")
    if parts.username is not None or parts.password is not None:
        told = "write `headers: {authorization: NAME}`, and `sandbox secret set NAME` with the header's value"
        raise Refusal("the URL holds a name or a password", told)
    if parts.query or parts.fragment or re.search("/v1/(traces|logs|metrics)/?$", parts.path):
        raise Refusal(f"{quoted(text)} says more than where the collector is", f"`/v1/traces` and `/v1/logs` are added: {_HELP}")
    return text.rstrip("/")


def parse_header(name: str) -> str:
    """The name of a header that may be added; raises `Refusal`."""
    if not _HEADER.fullmatch(name):
        raise Refusal(
            f"{quoted(name)} is no header's name", "write one, and the secret that holds its value: `authorization: otlp`"
        )
    if name.lower() in _OURS:
        raise Refusal(f"`{name}` is this host's own to say", "take it out")
    return name.lower()


def in_the_clear(endpoint: str) -> bool:
    """Whether what is sent there can be read on its way: no secret goes there."""
    parts = urlsplit(endpoint)
    try:
        near = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        near = False
    return parts.scheme == "http" and not near
