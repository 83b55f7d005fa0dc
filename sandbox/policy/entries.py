"""The entries of a policy document: one line of authority each, and where it comes from.

Frozen and strict: an unknown key, a value of another type, a number where text is meant are errors. What the schema of
POLICY names and this version does not enforce is not here: `sandbox.policy.refused` says so.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from sandbox.policy import hosts, units, uris
from sandbox.policy.credentials import Format, Header, SecretName
from sandbox.policy.fields import (
    ACCESS_WORDS,
    EVERY_PROTOCOL,
    PROTOCOLS,
    TCP,
    AccessWords,
    Cidr,
    Concurrency,
    Host,
    Key,
    Methods,
    Mount,
    Ports,
    Protocols,
    Requests,
    Size,
    Time,
    Uri,
    UrlPaths,
    Value,
)
from sandbox.policy.http_limits import HttpLimits
from sandbox.policy.refusal import Refusal, quoted


class Strict(BaseModel):
    """A part of a document: frozen, no key but its own, no value of another type."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Entry(Strict):
    """One line of authority, and where it was written: `file:line:column`, or `grant <id>`."""

    _origin: str = PrivateAttr("")
    _granted: bool = PrivateAttr(False)

    @property
    def origin(self) -> str:
        """The line or grant behind this entry."""
        return self._origin

    @property
    def granted(self) -> bool:
        """Whether a person gave it while the component was in use: such an allow is the answer to an ask."""
        return self._granted

    def from_line(self, origin: str) -> Self:
        """This entry, told where it comes from."""
        self._origin = origin
        return self

    def from_grant(self, origin: str) -> Self:
        """This entry, told which grant it is of."""
        self._granted = True
        return self.from_line(origin)

    def plain(self) -> dict[str, Any]:
        """The entry as it would be written: plain data, without what was left out."""
        return self.model_dump(mode="json", exclude_none=True)


class StorageEntry(Entry):
    """Files and folders that a guest may reach: a uri, what may be done, and the guest's name for them."""

    uri: Uri
    access: AccessWords
    mount: Mount | None = None

    @model_validator(mode="after")
    def _grantable(self) -> Self:
        uri = uris.parse_uri(self.uri)
        if uri.anchor is uris.Anchor.ROOT:
            for pattern in uri.expanded:
                uris.refuse_ungrantable(self.uri, uris.static_prefix(pattern)[0])
        return self

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The longest file and the most that all it matches may take, in bytes; None where nobody wrote it."""
        return None, None


class StorageAsk(StorageEntry):
    """Files and folders about which a person is asked at the moment of use."""


class StorageAllow(StorageEntry):
    """Files and folders that may be touched."""

    max_file_size: Size | None = None
    max_total_size: Size | None = None

    @model_validator(mode="after")
    def _bounds_what_it_gives(self) -> Self:
        if self.sizes != (None, None) and not {"write", "create"} & set(self.access):
            raise Refusal("a size is bounded where nothing can grow", "take it out, or add `write` or `create` to `access`")
        return self

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """The longest file and the most that all it matches may take, in bytes; None where nobody wrote it."""
        file, total = self.max_file_size, self.max_total_size
        return (None if file is None else units.parse_size(file), None if total is None else units.parse_size(total))


class StorageDeny(Entry):
    """Files and folders that may not be touched, whatever an allow says; without `access`, in no way at all."""

    uri: Uri
    access: AccessWords = ACCESS_WORDS


class NetworkEntry(Entry):
    """Hosts or addresses, and what may be asked of them. Exactly one of `host` and `cidr`."""

    host: Host | None = None
    cidr: Cidr | None = None
    ports: Ports | None = None
    protocols: Protocols | None = None
    methods: Methods | None = None
    paths: UrlPaths | None = None

    @model_validator(mode="after")
    def _names_one_target(self) -> Self:
        if self.host is None and self.cidr is None:
            raise Refusal("the entry names no target", "write `host: api.example.com`, or `cidr: 10.1.0.0/16`")
        if self.host is not None and self.cidr is not None:
            raise Refusal("the entry names a `host` and a `cidr`", "write two entries")
        return self

    @model_validator(mode="after")
    def _asks_no_socket_for_requests(self) -> Self:
        named = "methods" if self.methods is not None else "paths" if self.paths is not None else None
        if named is not None and TCP in (self.protocols or ()):
            raise Refusal(f"`{named}` are of requests, and a tcp connection makes none", "write two entries, one of them for tcp")
        return self

    @property
    def speaks(self) -> tuple[str, ...]:
        """The protocols that the line is about; a deny that names none is about all, unless it is about requests alone."""
        about_requests = self.methods is not None or self.paths is not None
        return self.protocols or (PROTOCOLS if about_requests else EVERY_PROTOCOL)

    @property
    def target(self) -> str:
        """The host or the address range."""
        return self.host or self.cidr or ""

    @property
    def port_ranges(self) -> tuple[hosts.PortRange, ...] | None:
        """The ports as inclusive ranges; None where the entry names none."""
        return None if self.ports is None else hosts.parse_ports(self.ports)


class Credential(Strict):
    """A secret that the gateway adds to the requests of a line: the guest never has it."""

    secret: SecretName
    header: Header
    format: Format = "{secret}"


class WrittenLimits(Strict):
    """What the requests of a line may use: in number and at a time all of the component's together, in size and time each."""

    requests: Requests | None = None
    connections: Concurrency | None = None
    request_bytes: Size | None = None
    response_bytes: Size | None = None
    timeout: Time | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            names = ", ".join(f"`{name}`" for name in type(self).model_fields)
            raise Refusal("the limits name none", f"write one of {names}, or take them out")
        return self


class NetworkAllow(NetworkEntry):
    """Hosts that may be asked, what that may use, and a credential that goes along: to one host by its name, over https alone."""

    limits: WrittenLimits | None = None
    credential: Credential | None = None

    @property
    def speaks(self) -> tuple[str, ...]:
        """The protocols that the line is about: an allow that names none is about https and http."""
        return self.protocols or PROTOCOLS

    @model_validator(mode="after")
    def _names_the_ports_of_tcp(self) -> Self:
        if TCP in self.speaks and self.ports is None:
            raise Refusal("tcp has no port of its own", "name them: `ports: [5432]`, or `ports: any`")
        return self

    @model_validator(mode="after")
    def _limits_what_is_counted(self) -> Self:
        if self.limits is not None and not set(self.protocols or ()) <= {"https", "http"}:
            told = "requests are counted and measured of http and https alone"
            raise Refusal(
                f"{told}, and the line allows another protocol", "write two lines, `limits` beside `protocols: [https]`"
            )
        return self

    @model_validator(mode="after")
    def _keeps_its_credential(self) -> Self:
        if self.credential is None:
            return self
        if self.host is None or "*" in self.host:
            told = f"a credential belongs to one host, and {quoted(self.target)} may be others too"
            raise Refusal(told, "write one line for each host, `host: api.example.com`, with its `credential`")
        if self.protocols != ("https",):
            raise Refusal(
                "a credential goes over https alone: plain http shows it to everyone on the way", "write `protocols: [https]`"
            )
        return self

    @property
    def bounds(self) -> tuple[HttpLimits, ...]:
        """What its requests may use, in numbers; nothing where it has no limits."""
        if (written := self.limits) is None:
            return ()
        count, seconds = (None, 1) if written.requests is None else units.parse_requests(written.requests)
        request, answer = (size and units.parse_size(size) for size in (written.request_bytes, written.response_bytes))
        timeout = written.timeout and units.parse_time(written.timeout)
        return (HttpLimits(self.origin, count, seconds, written.connections, request or None, answer or None, timeout or None),)


class EnvironmentAllow(Entry):
    """A variable or a pattern of them: the host's value, the one written here, or a secret's."""

    key: Key
    value: Value | None = None
    secret: SecretName | None = None

    @model_validator(mode="after")
    def _one_name_for_a_value(self) -> Self:
        if self.value is not None and self.secret is not None:
            raise Refusal(f"{quoted(self.key)} has a `value` and a `secret`", "keep one of the two")
        if (self.value or self.secret) is not None and ("*" in self.key or "?" in self.key):
            raise Refusal(f"{quoted(self.key)} stands for many variables, and one value cannot be theirs", "name each variable")
        return self


class EnvironmentDeny(Entry):
    """A variable or a pattern of them that the guest never sees."""

    key: Key
