"""A server that sends a credential back: what of its answer is masked, however it comes in pieces."""

from __future__ import annotations

import json
from base64 import b64encode
from random import Random
from urllib.parse import quote

import pytest

from sandbox.host.gateway.echo import Echo

SECRET = 's3cr3t/"value'
BASIC = b64encode(b"bob:hunter2hunter2").decode()


def _carried(echo: Echo, pieces: list[bytes]) -> bytes:
    return b"".join([*map(echo.more, pieces), echo.end()])


def _pieces(data: bytes, random: Random) -> list[bytes]:
    cuts = sorted(random.choices(range(len(data) + 1), k=random.randrange(1, 6)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        json.dumps(SECRET),
        repr(SECRET),
        quote(SECRET, safe=""),
        b64encode(SECRET.encode()).decode(),
        b64encode(b"x" + SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_a_value_is_masked_in_every_spelling_wherever_the_answer_is_cut(spelled: str) -> None:
    """The answer keeps its length, and all that is not the value."""
    random = Random(3)
    whole = f"<p>{spelled}</p> and s3cr3t".encode()
    expected = Echo([SECRET]).whole(whole)
    assert spelled.encode()[2:-2] not in expected[: len(spelled)]
    assert len(expected) == len(whole)
    assert expected.endswith(b"</p> and s3cr3t")
    for _ in range(200):
        assert _carried(Echo([SECRET]), _pieces(whole, random)) == expected
    assert _carried(Echo([SECRET]), [bytes([byte]) for byte in whole]) == expected


def test_a_basic_credential_is_masked_decoded_too() -> None:
    """A page that greets its user by name and password."""
    masked = Echo([BASIC]).whole(f"{BASIC} bob:hunter2hunter2, hunter2hunter2, bob".encode())
    assert masked == b"*" * len(BASIC) + b" ******************, **************, bob"


def test_what_only_begins_like_a_value_is_passed_on_at_once_or_at_the_end() -> None:
    """An answer that waits for its next event is not held back by more than such a beginning."""
    echo = Echo(["secret-value"])
    assert echo.more(b"data: 1\n\n") == b"data: 1\n\n"
    assert echo.more(b"data: secret-v") == b"data: "
    assert echo.more(b"acation\n\n") == b"secret-vacation\n\n"
    assert echo.more(b"sec") == b""
    assert echo.end() == b"sec"


def test_fields_are_masked_and_their_names_stay() -> None:
    fields = [(b"x-echo", b"Bearer secret-value"), (b"content-length", b"12")]
    assert Echo(["secret-value"]).fields(fields) == [(b"x-echo", b"Bearer ************"), (b"content-length", b"12")]
