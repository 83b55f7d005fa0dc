"""How a document names a secret, and how a credential goes into a request.

Names only: no value of a secret is ever in a document. What the gateway may add to a request is looked at here once, so that
it can put the value in without looking again at what surrounds it.

Rules: a secret's name is a path of plain names; a header that frames a request, routes it or names its method is no
credential's; a format holds `{secret}` exactly once.

Source: RFC 9110 5.1 and 5.5 (field names, field values), 7.6.1 (fields of one connection).
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from sandbox.policy.refusal import Refusal, quoted

PLACE = "{secret}"
"""Where the value stands in a credential's `format`."""

NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*"
MAX_NAME = 128
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_FORMAT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?", re.ASCII)
_FRAMING = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
    )
)


def parse_secret_name(text: str) -> str:
    """A secret's name, `weather/api-key`; raises `Refusal`."""
    if len(text) > MAX_NAME or not _NAME.fullmatch(text):
        raise Refusal(
            f"{quoted(text)} is no secret's name",
            f"write letters, digits, `_`, `.`, `-`, parts separated by `/`, at most {MAX_NAME}: `weather/api-key`",
        )
    return text


def parse_header(text: str) -> str:
    """The name of a header field that a credential may have, as written; raises `Refusal`."""
    if not _HEADER.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no header's name", "write one as `Authorization`, `X-Api-Key`")
    if text.lower().replace("_", "-") in _FRAMING:
        raise Refusal(
            f"{quoted(text)} belongs to the connection or says what is asked", "write `Authorization`, or the API's own"
        )
    return text


def parse_format(text: str) -> str:
    """A header's value with `{secret}` in it once; raises `Refusal`."""
    if text.count(PLACE) != 1:
        raise Refusal(f"{quoted(text)} does not hold `{PLACE}` once", f'write where the value stands: `"Bearer {PLACE}"`')
    if not _FORMAT.fullmatch(text):
        raise Refusal(f"{quoted(text)} cannot be a header's value", "write printable ASCII without blanks around it, at most 256")
    return text


SecretName = Annotated[
    str, AfterValidator(parse_secret_name), Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$", "maxLength": MAX_NAME})
]
Header = Annotated[str, AfterValidator(parse_header), Field(examples=["Authorization"])]
Format = Annotated[str, AfterValidator(parse_format), Field(examples=[f"Bearer {PLACE}"])]
