"""What may be written to the host's own tools: one model for each, the schema that is listed, and the other spellings.

Decides the shape alone: whether a grant could be a line of a policy is `sandbox.policy.grants`.

Rules: an unknown argument is an error, never ignored; schemas are portable (a plain object at the root, no `$ref`, no union, no
null), since every client must read them. The existing ecosystem's shape, `details: {…}` beside `component_id`, and `id`, are
understood; they are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from sandbox.errors import Code, SandboxError
from sandbox.policy.entries import Strict
from sandbox.policy.grants import Lifetime
from sandbox.policy.refusal import did_you_mean, quoted

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COUNTED = frozenset({"fuel", "open_files", "concurrency"})

ComponentId = Annotated[str, Field(min_length=1, max_length=64, description="The component, by the name list_components gives")]
Uri = Annotated[str, Field(min_length=1, max_length=4096, description="A file or folder of the host: fs:///srv/data/**")]
HostName = Annotated[str, Field(min_length=1, max_length=253, description="A host's name, or *.example.com; never with a port")]
Key = Annotated[str, Field(min_length=1, max_length=256, description="An environment variable, or a pattern: WEATHER_*")]
Limit = Annotated[
    Literal["memory", "cpu", "cpu_time", "wall_time", "fuel", "output", "stdio", "open_files", "file_ops", "concurrency"],
    Field(description="Which limit of a call"),
]


class Nothing(Strict):
    """No argument."""


class OfComponent(Strict):
    """A component."""

    component_id: ComponentId


class Listing(Strict):
    """A component, or all."""

    component_id: ComponentId | None = None


class Load(Strict):
    """Where a component lies."""

    path: Annotated[str, Field(min_length=1, max_length=4096, description="A file or folder of the host, or an https URL")]
    digest: Annotated[str, Field(max_length=80, description="SHA-256 of the file; an https URL needs it")] | None = None
    name: Annotated[str, Field(max_length=64, description="What to call it; else it goes by its file's name")] | None = None


class Granted(OfComponent):
    """What every grant may say besides its entry."""

    reason: Annotated[str, Field(max_length=500, description="Why; the person who is asked reads it")] | None = None
    expires_in: (
        Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}[smhd]$", description="Ends by itself after: 30s, 10m, 2h, 7d")] | None
    ) = None
    max_uses: Annotated[int, Field(ge=1, le=1_000_000, description="Ends after so many calls")] | None = None
    lifetime: Annotated[Lifetime, Field(description="One call; this session (the default); or until it is revoked")] | None = None

    def entry(self) -> dict[str, Any]:
        """What of it is the policy's line."""
        names = type(self).model_fields.keys() - {"component_id", "reason", "expires_in", "max_uses", "lifetime"}
        return {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}

    @property
    def seconds(self) -> float | None:
        """`expires_in` in seconds."""
        return None if self.expires_in is None else int(self.expires_in[:-1]) * _SECONDS[self.expires_in[-1]]


class GrantStorage(Granted):
    """Files."""

    uri: Uri
    access: Annotated[
        list[Literal["read", "write", "create", "delete"]],
        Field(min_length=1, max_length=4, description="What may be done there"),
    ]
    mount: Annotated[str, Field(max_length=4096, description="The component's own name for it: /data")] | None = None
    max_file_size: Annotated[str, Field(max_length=32, description="The longest file that it may write: 10Mi")] | None = None
    max_total_size: Annotated[str, Field(max_length=32, description="The most that may lie there: 100Mi")] | None = None


class GrantNetwork(Granted):
    """Hosts."""

    host: HostName
    ports: (
        Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(max_length=64, description="443 and 80 if left out")] | None
    ) = None
    protocols: (
        Annotated[
            list[Literal["https", "http", "tcp"]],
            Field(min_length=1, max_length=3, description="https and http if left out; tcp needs ports"),
        ]
        | None
    ) = None
    methods: Annotated[list[str], Field(max_length=16, description="GET, POST, …; any if left out")] | None = None
    paths: Annotated[list[str], Field(max_length=64, description="/v1/**; any if left out")] | None = None


class GrantEnvironment(Granted):
    """Variables."""

    key: Key
    value: Annotated[str, Field(max_length=4096, description="This value in place of the host's own")] | None = None


class GrantResource(Granted):
    """Limits."""

    limit: Limit
    value: Annotated[str, Field(min_length=1, max_length=32, description="A size (128Mi), a time (30s) or a number")]

    def entry(self) -> dict[str, Any]:
        """The limit as a policy's line."""
        counted = self.limit in _COUNTED and self.value.isdecimal() and self.value.isascii()
        return {self.limit: int(self.value) if counted else self.value}


class Revoked(OfComponent):
    """What every revoke may say besides what it takes away."""

    lifetime: Annotated[
        Literal["session", "lasting"], Field(description="Where a deny is needed: for this session (the default), or for good")
    ] | None = None  # fmt: skip


class RevokeStorage(Revoked):
    """Files."""

    uri: Uri


class RevokeNetwork(Revoked):
    """Hosts."""

    host: HostName


class RevokeEnvironment(Revoked):
    """Variables."""

    key: Key


class RevokeResource(OfComponent):
    """Limits."""

    limit: Limit | None = None


def read(model: type[Strict], written: Mapping[str, Any]) -> Any:
    """The arguments as the model has them. Raises SandboxError (`invalid_arguments`) with everything that is wrong."""
    try:
        return model.model_validate(flattened(model, written))
    except ValidationError as error:
        found = [_problem(model, detail) for detail in error.errors(include_url=False, include_input=False)]
    said, helps = "; ".join(message for message, _ in found), dict.fromkeys(help_ for _, help_ in found if help_)
    raise SandboxError(said, help="; ".join(helps) or None, code=Code.INVALID_ARGUMENTS)


def _problem(model: type[Strict], detail: Any) -> tuple[str, str | None]:
    where, names = ".".join(map(str, detail["loc"])), list(model.model_fields)
    if detail["type"] == "extra_forbidden":
        return f"unknown argument {quoted(where)}", did_you_mean(
            where, names
        ) or f"there is {', '.join(f'`{one}`' for one in names)}"
    if detail["type"] == "missing":
        return f"`{where}` is missing", None
    return f"`{where}`: {detail['msg'][:1].lower()}{detail['msg'][1:]}", None


def flattened(model: type[Strict], written: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in the one shape: `details` beside the rest, `id` as `component_id`, a time in seconds as text."""
    plain = {name: value for name, value in written.items() if name != "details"}
    inner = written.get("details", {})
    if not isinstance(inner, Mapping) or plain.keys() & inner.keys():
        raise SandboxError("`details` is no object, or says again what stands beside it", code=Code.INVALID_ARGUMENTS)
    plain |= inner
    if "id" in plain and "component_id" in model.model_fields and "component_id" not in plain:
        plain["component_id"] = plain.pop("id")
    if "memory" in plain and "limit" in model.model_fields and "limit" not in plain:
        plain |= {"limit": "memory", "value": plain.pop("memory")} if "value" in model.model_fields else {"limit": "memory"}
    if type(seconds := plain.get("expires_in")) is int:
        plain["expires_in"] = f"{seconds}s"
    return plain


def schema_of(model: type[Strict]) -> dict[str, Any]:
    """The model as a JSON Schema that every client reads."""
    written = model.model_json_schema()
    properties = {name: _plain(part) for name, part in written.get("properties", {}).items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": written["required"]} if written.get("required") else schema


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Without a title, a default, and a choice between something and null."""
    choices = [choice for choice in part.get("anyOf", []) if choice != {"type": "null"}]
    kept = {key: value for key, value in part.items() if key not in {"anyOf", "title", "default"}}
    merged = {**choices[0], **kept} if choices else kept
    merged.pop("title", None)
    if re.search(r"\$ref|anyOf|oneOf", str(merged)) or len(choices) > 1:
        raise TypeError(f"no portable schema: {merged}")
    return merged


__all__ = [
    "GrantEnvironment",
    "GrantNetwork",
    "GrantResource",
    "GrantStorage",
    "Granted",
    "Listing",
    "Load",
    "Nothing",
    "OfComponent",
    "RevokeEnvironment",
    "RevokeNetwork",
    "RevokeResource",
    "RevokeStorage",
    "Revoked",
    "flattened",
    "read",
    "schema_of",
]
