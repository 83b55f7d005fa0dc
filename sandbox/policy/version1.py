"""Version "1.0" of the policy document, as the existing ecosystem ships it, held as the "2.0" that means the same.

There `write` includes create and delete, a host takes any port, and a uri without a glob is that file or, for a folder, the
tree below it: `fs:///x` is `fs:///x/**`, which matches `/x` itself, and nothing is below a file. Every line is enforced, or
the document is refused whole; the older `resources {cpu: percent, memory: MB, io: operations a second}` is read too.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sandbox.policy import uris
from sandbox.policy.entries import Entry, EnvironmentAllow, NetworkAllow, NetworkEntry, StorageAllow, StorageDeny, Strict
from sandbox.policy.fields import ACCESS_WORDS, Cidr, Count, CpuShare, Distinct, Key, Size, Uri, Version1, parse_access
from sandbox.policy.hosts import parse_host
from sandbox.policy.models import Environment, Network, Permissions, PolicyDocument, ResourceLimits, Resources, Storage
from sandbox.policy.refusal import Refusal, one_of, quoted
from sandbox.policy.units import show_cpu

_PERCENT = re.compile(r"([1-9][0-9]{0,3})(?:\.([0-9])0*)?", re.ASCII)


def _access(word: str) -> str:
    if word == "execute":
        parse_access(word)
    if word not in {"read", "write"}:
        raise Refusal(f'{quoted(word)} is no access of version "1.0"', one_of(word, ("read", "write")))
    return word


def _host(text: str) -> str:
    try:
        return parse_host(text)
    except Refusal as refusal:
        more = [word for word in ("ports", "protocols", "paths") if f"`{word}: " in (refusal.help or "")]
        raise Refusal(refusal.message, f'{refusal.help} (of version "2.0")' if more else refusal.help) from None


def _one_name(key: str) -> str:
    if "*" in key or "?" in key:
        raise Refusal(f'{quoted(key)} is a pattern, and version "1.0" names each variable', "name the variables")
    return key


def _no_defaults(_: bool) -> bool:
    raise Refusal(
        "`defaults` stands for a list of hosts that is kept elsewhere and changes there", "name the hosts that are needed"
    )


def _thousandths(written: object) -> int:
    """A percentage of a core, `50` or `12.5`, in thousandths."""
    text = str(written) if isinstance(written, int) else getattr(written, "text", written)
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or isinstance(written, bool):
        raise Refusal(f"{quoted(str(text))} is no percentage of a core", "write a number from 1: `cpu: 50` is half a core")
    return 10 * int(match[1]) + int(match[2] or 0)


Percent = Annotated[int, BeforeValidator(_thousandths, json_schema_input_type=float)]
Access1 = Annotated[tuple[Annotated[str, AfterValidator(_access)], ...], Field(strict=False), Distinct]


class StorageEntry1(Entry):
    """A uri and `read`, `write`."""

    uri: Uri
    access: Access1

    @property
    def words(self) -> tuple[str, ...]:
        """The access in the words of version "2.0"."""
        held = {"read"} & set(self.access) | ({"write", "create", "delete"} if "write" in self.access else set())
        return tuple(word for word in ACCESS_WORDS if word in held)

    @property
    def tree(self) -> str:
        """The uri in the sense of version "2.0"."""
        uri = uris.parse_uri(self.uri)
        plain = all(not uris.static_prefix(pattern)[1] for pattern in uri.expanded)
        return f"{self.uri.rstrip('/')}/**" if plain and uri.names else self.uri


class StorageAllow1(StorageEntry1):
    """A grant: not of the kernel's trees."""

    @model_validator(mode="after")
    def _grantable(self) -> Self:
        StorageAllow(uri=self.uri, access=self.words)
        return self


class NetworkEntry1(Entry):
    """A host or an address range."""

    host: Annotated[str, AfterValidator(_host)] | None = None
    cidr: Cidr | None = None
    defaults: Annotated[bool, AfterValidator(_no_defaults)] | None = None

    @model_validator(mode="after")
    def _names_one_target(self) -> Self:
        NetworkEntry(host=self.host, cidr=self.cidr)
        return self


class EnvironmentEntry1(Entry):
    """A variable."""

    key: Annotated[Key, AfterValidator(_one_name)]


class Storage1(Strict):
    """Lists of storage entries."""

    allow: Annotated[tuple[StorageAllow1, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[StorageEntry1, ...], Field(strict=False)] = ()


class Network1(Strict):
    """Lists of network entries."""

    allow: Annotated[tuple[NetworkEntry1, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[NetworkEntry1, ...], Field(strict=False)] = ()


class Environment1(Strict):
    """The list of variables."""

    allow: Annotated[tuple[EnvironmentEntry1, ...], Field(strict=False)] = ()


class Limits1(Strict):
    """`memory: 512Mi` and `cpu: 500m`."""

    memory: Size | None = None
    cpu: CpuShare | None = None


class Resources1(Strict):
    """`limits`, or the older `memory` in megabytes, `cpu` in percent of a core and `io` in operations a second."""

    limits: Limits1 = Limits1()
    memory: Annotated[Count, Field(le=1 << 20)] | None = None
    cpu: Percent | None = None
    io: Annotated[Count, Field(le=9_999_999)] | None = None

    @model_validator(mode="after")
    def _one_memory(self) -> Self:
        if self.memory is not None and self.limits.memory is not None:
            raise Refusal("`memory` stands here twice, in two units", "keep `limits: {memory: …}`")
        return self

    @model_validator(mode="after")
    def _one_share(self) -> Self:
        if self.cpu is not None and self.limits.cpu is not None:
            raise Refusal("`cpu` stands here twice, in two units", "keep `limits: {cpu: …}`")
        return self

    @property
    def share(self) -> str | None:
        """The share of a core as version "2.0" writes it."""
        return self.limits.cpu if self.cpu is None else show_cpu(self.cpu)

    @property
    def size(self) -> str | None:
        """The memory limit as version "2.0" writes it."""
        return self.limits.memory if self.memory is None else f"{self.memory}Mi"


class Permissions1(Strict):
    """The sections of version "1.0" that a WASI host can enforce."""

    storage: Storage1 = Storage1()
    network: Network1 = Network1()
    environment: Environment1 = Environment1()
    resources: Resources1 = Resources1()


class Document1(Strict):
    """A policy document of version "1.0"."""

    version: Version1
    description: str = ""
    permissions: Permissions1 = Permissions1()

    def as_version_2(self) -> PolicyDocument:
        """The document of version "2.0" that means the same; entries keep their order."""
        parts = self.permissions
        storage = Storage(
            allow=tuple(StorageAllow(uri=entry.tree, access=entry.words) for entry in parts.storage.allow),
            deny=tuple(StorageDeny(uri=entry.tree, access=entry.words) for entry in parts.storage.deny),
        )
        network = Network(
            allow=tuple(NetworkAllow(host=entry.host, cidr=entry.cidr, ports=("any",)) for entry in parts.network.allow),
            deny=tuple(NetworkEntry(host=entry.host, cidr=entry.cidr) for entry in parts.network.deny),
        )
        environment = Environment(allow=tuple(EnvironmentAllow(key=entry.key) for entry in parts.environment.allow))
        rate = None if parts.resources.io is None else f"{parts.resources.io}/s"
        resources = Resources(limits=ResourceLimits(memory=parts.resources.size, cpu=parts.resources.share, file_ops=rate))
        permissions = Permissions(storage=storage, network=network, environment=environment, resources=resources)
        return PolicyDocument(version="2.0", description=self.description, permissions=permissions)
