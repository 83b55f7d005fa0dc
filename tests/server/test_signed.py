"""A webhook's signatures are those of the specification, and a message is heard once."""

from __future__ import annotations

import pytest

from sandbox.changes.signed import Heard, UnsignedError, headers_of, key_of, signature
from sandbox.errors import SandboxError
from tests.server.test_webhook import SECRET


def test_a_signature_is_that_of_the_specification() -> None:
    """Standard Webhooks, its example."""
    made = signature(key_of(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "hunter2", "whsec_", "whsec_!!", "whsec_aaaa", "whsec_" + "a" * 120])
def test_a_secret_that_is_none_signs_nothing_and_is_not_told(secret: str) -> None:
    with pytest.raises(SandboxError, match="the webhook's secret is none") as refused:
        key_of(secret)
    assert len(secret) < len("whsec_x") or secret not in str(refused.value)


def test_more_than_can_be_remembered_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.changes.signed.MAX_HEARD", 2)
    heard, key = Heard(), key_of(SECRET)
    for number in range(3):
        headers = headers_of(key, f"m{number}", 1000.0, b"{}")
        if number < 2:
            heard.take(key, headers, b"{}", 1000.0)
            continue
        with pytest.raises(UnsignedError, match="too many"):
            heard.take(key, headers, b"{}", 1000.0)
