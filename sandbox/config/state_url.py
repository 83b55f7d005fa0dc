"""Where state is kept, as one writes it: `sqlite`, `sqlite:///PATH`, `redis://HOST`, `rediss://HOST`, `unix://PATH`.

Decides which places there are and that no password is written in one: it comes from `$SANDBOX_STATE_PASSWORD`, or from the secret
`state/password`. Opens nothing.

Source: RFC 3986 3 (the parts of a URL).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sandbox.policy.refusal import Refusal, quoted

PASSWORD_VARIABLE = "SANDBOX_STATE_PASSWORD"  # noqa: S105 - its name, not a password
PASSWORD_SECRET = "state/password"  # noqa: S105 - its name, not a password
_HELP = "write `sqlite`, `sqlite:///PATH`, `redis://HOST:PORT/DB`, `rediss://HOST:PORT/DB` or `unix:///PATH?db=0`"
_PASSWORD_HELP = f"take it out, and set `{PASSWORD_VARIABLE}`, or `sandbox secret set {PASSWORD_SECRET}`"
_EACH = frozenset({"db", "power_loss"})
_QUERY = {"redis": _EACH, "rediss": _EACH | {"ca"}, "unix": _EACH}
_PORT = 6379
_MAX_DB = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis or Valkey server: by host and port, or by a Unix socket; `ca` is a file of whom TLS trusts there.

    With `may_lose` it is used although it does not promise that what it has answered survives its death or the power's.
    """

    host: str = ""
    port: int = 0
    socket: str = ""
    db: int = 0
    user: str | None = None
    tls: bool = False
    ca: str | None = None
    may_lose: bool = False

    @property
    def name(self) -> str:
        """How it is told to people, and told from others: without who we are there."""
        place = f"unix://{self.socket}" if self.socket else f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}"
        return f"{place}{'?db=' if self.socket else '/'}{self.db}"


@dataclass(frozen=True, slots=True)
class StatePlace:
    """Where state is kept: in the home's file or the one at `path`, in memory, or on a `server`."""

    kind: Literal["sqlite", "memory", "redis"] = "sqlite"
    path: Path | None = None
    server: Server | None = None

    @property
    def own(self) -> tuple[Path, ...]:
        """What no policy may name: the folder of a file outside of the home."""
        return () if self.path is None else (self.path.parent,)


def parse_state(text: str) -> StatePlace:
    """The place that a text names; raises `Refusal`."""
    if text in ("sqlite", "memory"):
        return StatePlace("sqlite" if text == "sqlite" else "memory")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        # Not the text: what cannot be taken apart may hold a password.
        raise Refusal("that is no URL of a place for state", _HELP) from None
    if url.password is not None:
        raise Refusal("a password is written in the URL, where it would be shown", _PASSWORD_HELP)
    if not text.isascii() or not text.isprintable() or " " in text or url.fragment:
        raise Refusal(f"{quoted(text)} is no place for state", _HELP)
    if url.scheme == "sqlite":
        return StatePlace("sqlite", _file(text, url))
    if url.scheme in _QUERY:
        return StatePlace("redis", server=_server(text, url, port))
    help_ = "write `redis://`: Valkey speaks the same" if url.scheme.startswith("valkey") else _HELP
    raise Refusal(f"{quoted(text)} is no place for state", help_)


def _file(text: str, url: SplitResult) -> Path:
    path = Path(unquote(url.path))
    if url.netloc or url.query or not path.is_absolute() or path == Path("/"):
        raise Refusal(
            f"{quoted(text)} names no file", "write `sqlite:///srv/sandbox/state.sqlite`, or `sqlite` for the home's own"
        )
    return path


def _server(text: str, url: SplitResult, port: int | None) -> Server:
    asked = dict(parse_qsl(url.query, keep_blank_values=True))
    if unknown := sorted(set(asked) - _QUERY[url.scheme]):
        raise Refusal(f"{quoted(text)} says `{unknown[0]}`, which is not known", _HELP)
    user = None if url.username is None else unquote(url.username)
    may_lose = _may_lose(text, asked.get("power_loss"))
    if url.scheme == "unix":
        if url.hostname or url.path in ("", "/"):
            raise Refusal(f"{quoted(text)} names no socket", "write its whole path: `unix:///run/redis/redis.sock`")
        return Server(socket=unquote(url.path), db=_db(text, asked.get("db", "0")), user=user, may_lose=may_lose)
    if not url.hostname:
        raise Refusal(f"{quoted(text)} names no host", _HELP)
    if "db" in asked and url.path not in ("", "/"):
        raise Refusal(f"{quoted(text)} names two databases", "keep the one in the path")
    db = _db(text, asked.get("db") or url.path.removeprefix("/") or "0")
    tls, ca = url.scheme == "rediss", _ca(text, asked.get("ca"))
    return Server(url.hostname, port or _PORT, db=db, user=user, tls=tls, ca=ca, may_lose=may_lose)


def _db(text: str, number: str) -> int:
    if not number.isdecimal() or int(number) > _MAX_DB:
        raise Refusal(f"{quoted(text)} names no database", "write its number: `redis://HOST/0`")
    return int(number)


def _may_lose(text: str, said: str | None) -> bool:
    if said not in (None, "accepted"):
        raise Refusal(f"{quoted(text)} says neither yes nor no to a loss", "write `?power_loss=accepted`, or leave it out")
    return said is not None


def _ca(text: str, file: str | None) -> str | None:
    if file is not None and not file.startswith("/"):
        raise Refusal(f"{quoted(text)} names no file of certificates", "write its whole path: `?ca=/etc/ssl/own-ca.pem`")
    return file
