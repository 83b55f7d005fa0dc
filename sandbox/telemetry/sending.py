"""Send what was told to a collector, beside everything else: a queue that has an end, one thread, OTLP over HTTP.

Decides what is given up: what finds the queue full, what a collector refuses, what could not be sent in `ATTEMPTS`. Leaves the
spelling to `sandbox.telemetry.otlp`.

Rules: whoever has something to send never waits, and never hears of a failure; it goes to this address alone: no redirect is
followed, no proxy or variable of the environment is looked at; that a collector does not answer is logged once in `SILENT_S`,
and counted; at the end what is left has `LAST_S` to get out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2

from sandbox.errors import HostUnavailable
from sandbox.telemetry.otlp import records_to_otlp, spans_to_otlp
from sandbox.telemetry.spans import Span

QUEUE, BATCH = 4096, 512
EVERY_S = 1.0
"""How long at most something waits for others to be sent with."""
TIMEOUT_S, LAST_S = 5.0, 3.0
SILENT_S = 60.0
ATTEMPTS, PAUSE_S = 3, 0.5

_PATHS: Mapping[str, str] = {"spans": "/v1/traces", "records": "/v1/logs"}
_SPELLED: Mapping[str, Callable[[Iterable[Any]], bytes]] = {"spans": spans_to_otlp, "records": records_to_otlp}
_AGAIN = frozenset({429, 502, 503, 504})
"""What may go well a little later, as OTLP has it."""
_LOG = logging.getLogger("sandbox")


@dataclass(slots=True)
class Sent:
    """What became of `spans` and of `records`: how many were sent, and how many were given up. Counted from several threads."""

    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PATHS, 0))
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PATHS, 0))
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def gave_up(self, kind: str, number: int) -> None:
        """So many more were given up."""
        with self._counting:
            self.lost[kind] += number


class Sender:
    """The way to one collector. `headers` are asked for with every request: a secret may be another one by then."""

    def __init__(self, endpoint: str, headers: Callable[[], Mapping[str, str]]) -> None:
        self.counts = Sent()
        self._post = Post(endpoint, headers)
        self._queues: dict[str, deque[Any]] = {kind: deque() for kind in _PATHS}
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._told_at = -SILENT_S
        self._thread: threading.Thread | None = None

    def spans(self, spans: Sequence[Span]) -> None:
        """Have a call's spans sent."""
        self._take("spans", spans)

    def record(self, record: Mapping[str, Any]) -> None:
        """Have a record sent that was written."""
        self._take("records", (record,))

    def close(self) -> None:
        """Send what is left, if that is soon done; then send nothing any more."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(LAST_S)
        self._post.close()

    def _take(self, kind: str, told: Sequence[Any]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sandbox-telemetry", daemon=True)
            self._thread.start()
        queue = self._queues[kind]
        if len(queue) + len(told) > QUEUE:
            self.counts.gave_up(kind, len(told))
            return
        queue.extend(told)
        if len(queue) >= BATCH:
            self._wanted.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait(EVERY_S)
            self._wanted.clear()
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        for kind, queue in self._queues.items():
            while queue:
                batch = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
                self._send(kind, batch)

    def _send(self, kind: str, batch: list[Any]) -> None:
        try:
            self._post.send(kind, batch, pause=self._closing.wait)
        except Exception as error:  # noqa: BLE001 - the thread's outermost frame: the next batch has its own chance
            self.counts.gave_up(kind, len(batch))
            self._tell(kind, error)
        else:
            self.counts.sent[kind] += len(batch)

    def _tell(self, kind: str, error: Exception) -> None:
        if time.monotonic() - self._told_at >= SILENT_S:
            self._told_at = time.monotonic()
            _LOG.warning("telemetry: %d %s were given up so far: %s", self.counts.lost[kind], kind, error)


class Post:
    """Requests to one collector, one after the other."""

    def __init__(self, endpoint: str, headers: Callable[[], Mapping[str, str]]) -> None:
        self._endpoint, self._headers = endpoint, headers
        self._client = httpx2.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def send(self, kind: str, batch: Sequence[Any], *, pause: Callable[[float], object] = time.sleep) -> None:
        """Send `spans` or `records`; raises HostUnavailable where the collector does not take them."""
        ask = partial(self._ask, _PATHS[kind], _SPELLED[kind](batch))
        for attempt in range(ATTEMPTS):
            why = ask()
            if why is None:
                return
            if attempt + 1 < ATTEMPTS:
                pause(PAUSE_S * 2**attempt)
        raise HostUnavailable(f"the collector at {self._endpoint} does not take what it is sent: {why}")

    def _ask(self, path: str, body: bytes) -> str | None:
        """Why a request may go well later; None where it went well. Raises HostUnavailable where it never will."""
        headers = {**self._headers(), "content-type": "application/x-protobuf"}
        try:
            answer = self._client.post(f"{self._endpoint}{path}", content=body, headers=headers)
        except httpx2.TransportError as error:
            return type(error).__name__
        if answer.status_code in _AGAIN:
            return f"it answers {answer.status_code}"
        if not answer.is_success:
            raise HostUnavailable(f"the collector at {self._endpoint} refuses what it is sent: it answers {answer.status_code}")
        return None
