"""A call as a trace, and the record, on their way to the operator's collector.

Decides which calls are traced, and what is told of one as a whole. Its stages tell the rest (`sandbox.telemetry.spans`), and what
becomes of it is `sandbox.telemetry.sending`'s.

Rules: whether a call is traced its client says, where it says so, else the share that is configured; a trace holds no argument,
no result and nothing that a guest wrote; what is wrong with a trace is never wrong with its call.

Source: OpenTelemetry's semantic conventions for MCP servers and for `execute_tool`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Any

from sandbox.config.telemetry import Collector
from sandbox.errors import HostUnavailable, SandboxError
from sandbox.result import CallResult, code_of
from sandbox.state.secrets import SecretStore
from sandbox.telemetry.context import read_context
from sandbox.telemetry.spans import Trace, traced

METHOD = "tools/call"
_BATCH = 512


class Tracing:
    """The way from one host to its collector. Raises HostUnavailable where what OTLP is spelled with is not installed."""

    def __init__(self, collector: Collector, secrets: SecretStore) -> None:
        self._sample = collector.sample
        self._sender = _sending().Sender(collector.endpoint, partial(_headers, collector, secrets))
        self.listeners: list[Callable[[Mapping[str, Any]], None]] = [self._sender.record] if collector.records else []
        """What the record is to tell of each line."""

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """How many `spans` and `records` were `sent`, and how many `lost`."""
        told = {"sent": self._sender.counts.sent, "lost": self._sender.counts.lost}
        return {(kind, result): number for result, counts in told.items() for kind, number in counts.items()}

    async def close(self) -> None:
        """Send what is left, if that is soon done."""
        await asyncio.to_thread(self._sender.close)

    async def call(
        self, tool: str | None, metadata: Mapping[str, Any], run: Callable[[Mapping[str, Any]], Awaitable[CallResult]]
    ) -> CallResult:
        """Run a call of this tool, None for one that is not there; its metadata says afterwards in which trace it is."""
        parent = read_context(metadata.get("trace"), metadata.get("trace_state"))
        if not (parent.sampled if parent is not None else random.random() < self._sample):  # noqa: S311 - nobody gains by guessing
            return await run(metadata)
        trace, error = Trace(parent), None
        told = metadata if parent is not None else {**metadata, "trace": trace.context.traceparent}
        try:
            with traced(trace):
                result = await run(told)
        except BaseException as failed:
            error = _named(failed)
            raise
        else:
            error = None if (code := code_of(result.outcome)) is None else code.value
            return result
        finally:
            self._tell(trace, tool, error)

    def _tell(self, trace: Trace, tool: str | None, error: str | None) -> None:
        told = {"mcp.method.name": METHOD, "gen_ai.operation.name": "execute_tool"}
        name = METHOD if tool is None else f"{METHOD} {tool}"
        self._sender.spans(trace.ended(name, told if tool is None else {**told, "gen_ai.tool.name": tool}, error))


def export_records(records: Iterable[Mapping[str, Any]], collector: Collector, secrets: SecretStore) -> int:
    """Send records to a collector, in order, and say how many; raises HostUnavailable where it does not take them all."""
    post = _sending().Post(collector.endpoint, partial(_headers, collector, secrets))
    rest, sent = iter(records), 0
    try:
        while batch := list(islice(rest, _BATCH)):
            post.send("records", batch)
            sent += len(batch)
    finally:
        post.close()
    return sent


def _sending() -> Any:
    try:
        return import_module("sandbox.telemetry.sending")
    except ModuleNotFoundError as error:
        told = f"a collector is configured, and `{error.name}` is not installed, which what it is told is spelled with"
        raise HostUnavailable(told, help="`pip install 'sandbox[otel]'`, or take `telemetry` out") from None


def _headers(collector: Collector, secrets: SecretStore) -> dict[str, str]:
    """The headers with the values that their secrets have now. Raises HostUnavailable for one that is not set."""
    values = secrets.values() if collector.headers else {}
    for _, name in collector.headers:
        if name not in values:
            raise HostUnavailable(f"the secret `{name}` is not set", help=f"`sandbox secret set {name}`")
    return {header: values[name] for header, name in collector.headers}


def _named(failed: BaseException) -> str:
    """What went wrong, in a closed word."""
    if isinstance(failed, SandboxError):
        return failed.code.value
    return "cancelled" if isinstance(failed, asyncio.CancelledError) else "internal_error"
