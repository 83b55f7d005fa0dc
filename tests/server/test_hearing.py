"""What is told of a guest's lines while its call runs: a secret of several lines is never told line by line."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.host.outcome import Ending, Outcome
from sandbox.redaction import Redactor
from sandbox.result import CallResult
from sandbox.server.hearing import Lines, tell

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = ["-----BEGIN RSA PRIVATE KEY-----", *[BODY] * 20, "-----END RSA PRIVATE KEY-----"]
PUTTY = ["PuTTY-User-Key-File-3: ssh-ed25519", "Private-Lines: 20", *[BODY] * 20, "Private-MAC: " + "0a" * 32]
HIDDEN = "[REDACTED:PRIVATE_KEY]"


async def heard(*written: str) -> tuple[list[str], list[str]]:
    """What is told while the call runs of what it writes piece by piece, and what with its end."""
    live: list[str] = []
    end: list[str] = []

    async def say(line: str) -> None:
        live.append(line)

    async def log(_level: str, data: Any, _logger: str) -> None:
        end.append(data["guest"])

    redactor = Redactor()
    lines = Lines(say, may=lambda text: str(redactor.redact(text).value))
    for piece in written:
        lines.take(piece.encode())
    await lines.said()
    called = CallResult(Outcome(Ending.RETURNED, stderr="".join(written)), "r-1", None, redactor=redactor)
    await tell(log, "debug", "c__f", "c", called, lines)
    return live, end


@pytest.mark.parametrize("key", [PEM, PUTTY], ids=["PEM", "PuTTY"])
async def test_a_private_key_that_comes_line_by_line_is_told_as_one(key: list[str]) -> None:
    live, end = await heard("before\n", *(f"{line}\n" for line in key), "behind\n")
    assert (live, end) == (["before", HIDDEN, "behind"], [])


@pytest.mark.parametrize("pieces", [1, 7, 64])
async def test_nor_where_it_comes_in_pieces_or_behind_a_word(pieces: int) -> None:
    text = "\n".join(["before", f"key: {PEM[0]}", *PEM[1:], *PEM, "behind", ""])
    live, end = await heard(*(text[at : at + pieces] for at in range(0, len(text), pieces)))
    assert BODY not in str((live, end))
    assert (live[0], live[-1], end) == ("before", "behind", [])


@pytest.mark.parametrize("key", [PEM, PUTTY], ids=["PEM", "PuTTY"])
async def test_a_key_without_an_end_is_told_with_the_calls_end_alone(key: list[str]) -> None:
    live, end = await heard("before\n", *(f"{line}\n" for line in key[:-1]))
    assert (live, end) == (["before"], [HIDDEN])


async def test_a_certificate_is_no_key_and_waits_for_nothing() -> None:
    live, end = await heard("-----BEGIN CERTIFICATE-----\n", "behind\n")
    assert (live, end) == (["-----BEGIN CERTIFICATE-----", "behind"], [])
