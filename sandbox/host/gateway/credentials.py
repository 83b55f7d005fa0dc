"""Which credentials go along with a request, and how they stand in its head.

Decides that a credential goes with exactly the requests of its line: scheme, host, port, method and path all matched. The
values come from `attached`, for one call at a time; `exchange` puts the fields into the head, behind everything else.

Rules: a request that a server may read in two ways has the same credentials in both, or is refused; two lines never give one
header two values; TRACE, whose answer is the request itself, never carries one; without the value there is no request; no
reason, told to whomever, has a value in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sandbox.host.gateway.dial import Target
from sandbox.host.gateway.headers import Headers
from sandbox.host.gateway.refusal import Refused
from sandbox.policy.credentials import PLACE
from sandbox.template.network import NetworkRules
from sandbox.template.template import Credential, NetworkRule

_FIELD_VALUE = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_TOLD = "the credential of this request is not there"


def credentials_of(rules: NetworkRules, readings: Sequence[Target]) -> tuple[Credential, ...]:
    """The credentials of a request, in every way it may be read. Raises `Refused`."""
    first, *others = (_of_one(rules, reading) for reading in readings)
    if any(set(other) != set(first) for other in others):
        raise Refused("the request can be read in two ways, and its credential belongs to one of them")
    if first and any(reading.method.upper() == "TRACE" for reading in readings):
        raise Refused("TRACE answers with the request itself, its credential included")
    return first


def fields_of(credentials: Iterable[Credential], values: Mapping[str, str]) -> Headers:
    """The header fields, lower case. Raises `Refused` where a secret is not there or cannot stand in a header."""
    return [(credential.header.lower().encode("ascii"), _value(credential, values)) for credential in credentials]


def _of_one(rules: NetworkRules, target: Target) -> tuple[Credential, ...]:
    authority = target.authority
    found = rules.credentials(target.scheme, authority.host, authority.port, target.method, target.path)
    by_header: dict[str, NetworkRule] = {}
    for rule in found:
        assert rule.credential is not None
        first = by_header.setdefault(rule.credential.header.lower(), rule)
        if first.credential != rule.credential:
            reason = f"two lines give one header a credential each: {first.origin} and {rule.origin}"
            raise Refused(reason, "two credentials for one header", origin=rule.origin)
    return tuple(rule.credential for rule in by_header.values() if rule.credential is not None)


def _value(credential: Credential, values: Mapping[str, str]) -> bytes:
    value = values.get(credential.secret)
    if value is None:
        raise Refused(f"the secret `{credential.secret}` is not set", _TOLD, secret=credential.secret)
    field = credential.format.replace(PLACE, value).encode()
    if not _FIELD_VALUE.fullmatch(field):
        raise Refused(f"the secret `{credential.secret}` cannot stand in a header: it is no line of ASCII", _TOLD)
    return field
