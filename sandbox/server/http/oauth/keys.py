"""The issuer's keys as this server has them: how old they may be, and when it asks again.

Decides which key a token's header means. Leaves asking to `sandbox.server.http.oauth.issuer`, signatures to PyJWT.

    younger than FRESH_SECONDS   they are used
    younger than KEPT_SECONDS    they are used, and the issuer is asked again meanwhile
    older                        nobody's token is good until the issuer has answered: fail closed

Rules: the issuer is asked at most every `AGAIN_SECONDS`, by one request at a time, whatever clients send: a flood of made-up key
ids here is no flood there. A key is one of a token's algorithm and of nothing else; one that is secret, private or meant for
encryption is none. `generation` changes with the keys: what was verified under another one is verified anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.server.http.oauth.issuer import UnreachableError

if TYPE_CHECKING:
    from jwt import PyJWK

FRESH_SECONDS = 600.0
KEPT_SECONDS = 6 * 3600.0
AGAIN_SECONDS = 30.0
MOST_KEYS = 100

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_TYPES = {"R": "RSA", "P": "RSA", "E": "EC"}
_PRIVATE = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})
_log = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


class Keys:
    """The keys of one issuer. `fetch` gets them and raises `UnreachableError`; `clock` counts seconds."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._made: dict[tuple[str | None, str], PyJWK | None] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._generation = 0

    def generation(self) -> int:
        """Which keys hold now; asks for newer ones meanwhile where they are no longer fresh."""
        age = self._age()
        if age is not None and age > KEPT_SECONDS:
            _log.error("the issuer has not answered for %.0f hours: its keys hold no longer", KEPT_SECONDS / 3600)
            self._hold(())
            self._fetched_at = None
        elif age is not None and age > FRESH_SECONDS:
            self._ask()
        return self._generation

    async def find(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of a token's header; None where the issuer has none such. Raises UnreachableError where it gave none at all."""
        self.generation()
        if self._fetched_at is None:
            await self._asked()
            if self._fetched_at is None:
                raise UnreachableError("the issuer's keys are not known")
        if (key := self._key(kid, algorithm)) is None:
            await self._asked()
            key = self._key(kid, algorithm)
        return key

    def _age(self) -> float | None:
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    async def _asked(self) -> None:
        if (asking := self._ask()) is not None:
            # Whoever waits may leave; the answer is for all.
            await asyncio.shield(asking)

    def _ask(self) -> asyncio.Task[None] | None:
        """The question that is under way, or a new one; None where the last one is not long ago."""
        if self._asking is None:
            now = self._clock()
            if self._asked_at is not None and now - self._asked_at < AGAIN_SECONDS:
                return None
            self._asked_at = now
            self._asking = asyncio.create_task(self._refresh())
        return self._asking

    async def _refresh(self) -> None:
        try:
            found = tuple((await self._fetch())[:MOST_KEYS])
            if found != self._keys:
                self._hold(found)
            self._fetched_at = self._clock()
        except UnreachableError as error:
            _log.error("the issuer's keys were not had: %s", error)
        except Exception:  # noqa: BLE001 - nobody may wait for this question: its end is here
            _log.exception("the issuer's keys were not had")
        finally:
            self._asking = None

    def _hold(self, keys: tuple[Mapping[str, Any], ...]) -> None:
        self._keys, self._generation = keys, self._generation + 1
        self._made.clear()

    def _key(self, kid: str | None, algorithm: str) -> PyJWK | None:
        fits = [key for key in self._keys if _is_for(key, algorithm) and (kid is None or key.get("kid") == kid)]
        # Without a key id, or with one twice, any would be a guess.
        if len(fits) != 1:
            return None
        place = json.dumps(fits[0].get("kid")), algorithm
        if place not in self._made:
            self._made[place] = _made(fits[0], algorithm)
        return self._made[place]


def _is_for(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a published key is a public one, to check this algorithm's signatures (RFC 7517, 4; RFC 7518, 6)."""
    operations = key.get("key_ops")
    return (
        key.get("kty") == _TYPES.get(algorithm[0] if algorithm != "EdDSA" else "", "OKP")
        and key.get("crv") == _CURVES.get(algorithm)
        and key.get("alg") in (None, algorithm)
        and key.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and not _PRIVATE & key.keys()
    )


def _made(key: Mapping[str, Any], algorithm: str) -> PyJWK | None:
    from jwt import PyJWK, PyJWTError

    try:
        return PyJWK(dict(key), algorithm)
    except (PyJWTError, ValueError, TypeError) as error:
        _log.error("a key of the issuer's is none: %s", type(error).__name__)
        return None
