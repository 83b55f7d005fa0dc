"""Where a request for an approval is told of, and how long a call waits for its answer: the operator's words.

Values and their reading. Only this host's own configuration names a webhook; no policy and no project does.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from sandbox.policy import units
from sandbox.policy.credentials import SecretName
from sandbox.policy.entries import Strict
from sandbox.policy.fields import Time
from sandbox.policy.refusal import Refusal, quoted

_HELP = "write `url: https://chat.example.com/approvals`"


def parse_webhook_url(text: str) -> str:
    """Where requests are posted: over https, or to this machine alone. Raises `Refusal`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Refusal(f"{quoted(text)} is no URL: {error}", _HELP) from None
    if not parts.hostname or port == 0 or not text.isascii() or not text.isprintable() or " " in text or parts.fragment:
        raise Refusal(f"{quoted(text)} is no place to post to", _HELP)
    if parts.username is not None or parts.password is not None:
        raise Refusal("the URL holds a name or a password", "who sends is told by the signature: take it out")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise Refusal(f"{quoted(text)} would tell others on the way what is asked for", f"{_HELP}; http is for this machine")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its address, or by the one name that always is."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise Refusal(f"{quoted(str(getattr(value, 'text', value)))} is neither yes nor no", "write `true` or `false`")
    return value


class WebhookSection(Strict):
    """Where requests are posted, the secret that signs them and their answers, and whether they hold the arguments in clear."""

    url: Annotated[str, AfterValidator(parse_webhook_url)]
    secret: SecretName
    arguments: Annotated[bool, BeforeValidator(_flag)] = False


class ApprovalKeys(Strict):
    """How long a call waits for an answer where its client cannot ask a person, and who else is told of a request."""

    wait: Time | None = None
    webhook: WebhookSection | None = None

    @property
    def wait_s(self) -> float:
        """`wait` in seconds; 0 where nothing is said: such a call is answered at once."""
        return 0.0 if self.wait is None else units.parse_time(self.wait) / 1000
