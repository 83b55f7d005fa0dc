"""The way to a Redis or Valkey server: who we are there, and what its silence means.

Decides that a server which does not answer within ANSWER_S is lost: then nobody asks it again before a moment has passed, so that
it cannot hold up this process, and every question is refused at once. Loaded only where the configuration names such a server.

Rules: a question is sent once, since one that was not answered may have been heard; nothing of a password is in an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from sandbox.config.state_url import PASSWORD_SECRET, PASSWORD_VARIABLE, Server
from sandbox.errors import HostUnavailable
from sandbox.state.tables import LostError

ANSWER_S = 1.0
LOST_S = 0.5
"""For how long a lost server is not asked again."""
_WHO = (redis.AuthenticationError, redis.exceptions.NoPermissionError)
_WHO_HELP = f"name the user in the URL, and set `{PASSWORD_VARIABLE}` or `sandbox secret set {PASSWORD_SECRET}`"
_LOST_HELP = "nothing is granted and nothing is called until it answers; look whether it runs and can be reached"

Script = Callable[[list[str], list[Any]], Any]


class Link:
    """One process's way to a server. Raises HostUnavailable where it refuses, LostError where it does not answer."""

    def __init__(self, server: Server, password: str | None) -> None:
        self.server = server
        self._options = _options(server, password)
        self._client = redis.Redis(**self._options, retry=Retry(NoBackoff(), 0))
        self._lost: LostError | None = None
        self._not_before = 0.0
        self.closed = False

    def close(self) -> None:
        """Let go of the connections."""
        self.closed = True
        self._client.close()

    def script(self, text: str) -> Script:
        """A step that the server takes with nothing in between: of keys and arguments, as Lua."""
        registered = self._client.register_script(text)
        return lambda keys, told: self.ask(lambda _: registered(keys=keys, args=told))

    def ask(self, question: Callable[[redis.Redis], Any]) -> Any:
        """What the server answers to what `question` asks its client."""
        if self._lost is not None and time.monotonic() < self._not_before:
            raise self._lost
        try:
            answer = question(self._client)
        except redis.RedisError as error:
            raise self._as_ours(error) from error
        self._lost = None
        return answer

    def lose(self, error: redis.RedisError | OSError) -> HostUnavailable:
        """Somebody else found that it does not answer: nobody asks it for a moment. The error that all get."""
        return self._as_ours(error)

    def found(self) -> None:
        """Somebody else found that it answers again."""
        self._lost = None

    def listener(self) -> redis_asyncio.Redis:
        """A client for this loop, that waits in its own time."""
        return redis_asyncio.Redis(**self._options, retry=AsyncRetry(NoBackoff(), 0))

    def _as_ours(self, error: redis.RedisError | OSError) -> HostUnavailable:
        said = str(error).strip() or type(error).__name__
        if isinstance(error, _WHO):
            return HostUnavailable(f"the state server `{self.server.name}` does not let us in: {said}", help=_WHO_HELP)
        if not isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)):
            return HostUnavailable(f"the state server `{self.server.name}` refuses: {said}")
        self._lost = LostError(f"the state server `{self.server.name}` does not answer: {said}", help=_LOST_HELP)
        self._not_before = time.monotonic() + LOST_S
        return self._lost


def _options(server: Server, password: str | None) -> Mapping[str, Any]:
    shared = {
        "db": server.db,
        "username": server.user,
        "password": password,
        "socket_timeout": ANSWER_S,
        "socket_connect_timeout": ANSWER_S,
        "client_name": "sandbox",
        "protocol": 2,
    }
    if server.socket:
        return {**shared, "unix_socket_path": server.socket}
    tls = {"ssl": True, "ssl_check_hostname": True, "ssl_ca_certs": server.ca} if server.tls else {}
    return {**shared, "host": server.host, "port": server.port, **tls}
