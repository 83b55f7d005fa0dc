"""The values that a policy entry may hold, each with the refusal that says what to write instead.

Types for the models of `entries`: text stays as written, in its one spelling, and is read again by whoever needs numbers.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sandbox.policy import hosts, units, uris
from sandbox.policy.globs import expand
from sandbox.policy.refusal import Refusal, one_of, quoted

ACCESS_WORDS = ("read", "write", "create", "delete")
PROTOCOLS = ("https", "http")
"""What an allow means that names none."""
TCP = "tcp"
EVERY_PROTOCOL = (*PROTOCOLS, TCP)
_KEY = re.compile(r"[A-Za-z_*?][A-Za-z0-9_*?]{0,254}", re.ASCII)


def _uri(text: str) -> str:
    uris.parse_uri(text)
    return text


def _mount(text: str) -> str:
    names = text.split("/")[1:]
    if not text.startswith("/") or text == "/" or not all(names) or {".", ".."} & set(names):
        raise Refusal(f"{quoted(text)} is no place to mount at", "write an absolute path below `/` without `.` and `..`: `/data`")
    # Brackets and braces are names like others here: a mount is taken literally, and web projects have a file `[id].ts`.
    if re.search(r"[*?\\]", text) or not text.isprintable():
        raise Refusal(f"{quoted(text)} is no plain path", "it is the guest's name for the part of the uri before its first `*`")
    return text


def parse_access(word: str) -> str:
    """A word of `access`; raises `Refusal`."""
    if word == "execute":
        raise Refusal("`execute` is refused: WASI starts no programs, so the word would promise nothing", "take it out")
    if word not in ACCESS_WORDS:
        raise Refusal(f"{quoted(word)} is no access", one_of(word, ACCESS_WORDS))
    return word


def _protocol(word: str) -> str:
    if word == "udp":
        told = "`udp` is not carried: what leaves goes through the gateway as a stream, and a datagram is none"
        raise Refusal(told, "take it out, or write `tcp` where the server speaks that too")
    if word not in EVERY_PROTOCOL:
        raise Refusal(f"{quoted(word)} is no protocol", one_of(word, EVERY_PROTOCOL))
    return word


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no variable's name", "write letters, digits and `_`, with `*` for any run: `WEATHER_*`")
    expand(text)
    return text


def _value(text: str) -> str:
    if "\0" in text:
        raise Refusal("a value has no NUL character", "take it out")
    return text


def _distinct(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if not items:
        raise Refusal("the list is empty, so the line says nothing", "name at least one, or take the line out")
    twice = [item for at, item in enumerate(items) if item in items[:at]]
    if twice:
        raise Refusal(f"{quoted(twice[0])} stands here twice", "write it once")
    return items


def _port_list(written: object) -> object:
    return ("any",) if written == "any" else written


def _version(text: str) -> str:
    if text != "2.0":
        raise Refusal(f"{quoted(text)} is no version", 'write `version: "2.0"` (or `"1.0"`)')
    return text


def _positive(number: int) -> int:
    if number < 1:
        raise Refusal(f"`{number}` is no limit", "write a number from 1; to forbid a capability, leave its grants out")
    return number


def _size(text: str) -> str:
    units.parse_size(text)
    return text


def _time(text: str) -> str:
    units.parse_time(text)
    return text


def _rate(text: str) -> str:
    units.parse_rate(text)
    return text


def _requests(text: str) -> str:
    units.parse_requests(text)
    return text


def _cpu(text: str) -> str:
    units.parse_cpu(text)
    return text


Distinct = AfterValidator(_distinct)
AccessWord = Annotated[str, AfterValidator(parse_access), Field(json_schema_extra={"enum": list(ACCESS_WORDS)})]
Protocol = Annotated[str, AfterValidator(_protocol), Field(json_schema_extra={"enum": list(EVERY_PROTOCOL)})]
Method = Annotated[str, AfterValidator(hosts.parse_method)]
UrlPath = Annotated[str, AfterValidator(hosts.parse_url_path)]
Uri = Annotated[str, AfterValidator(_uri), Field(examples=["fs:///srv/data/**"], json_schema_extra={"pattern": "^fs://"})]
Size = Annotated[str, AfterValidator(_size), Field(json_schema_extra={"pattern": units.SIZE_PATTERN})]
Time = Annotated[str, AfterValidator(_time), Field(json_schema_extra={"pattern": units.TIME_PATTERN})]
Rate = Annotated[str, AfterValidator(_rate), Field(json_schema_extra={"pattern": units.RATE_PATTERN})]
CpuShare = Annotated[str, AfterValidator(_cpu), Field(json_schema_extra={"pattern": units.CPU_PATTERN})]
Requests = Annotated[str, AfterValidator(_requests), Field(json_schema_extra={"pattern": units.REQUESTS_PATTERN})]
Count = Annotated[int, AfterValidator(_positive), Field(json_schema_extra={"minimum": 1})]
# The bound stands before the validator: behind one, pydantic writes it as `le` into the schema, which no editor knows.
OpenFiles = Annotated[int, Field(le=65536), AfterValidator(_positive), Field(json_schema_extra={"minimum": 1})]
Concurrency = Annotated[int, Field(le=1024), AfterValidator(_positive), Field(json_schema_extra={"minimum": 1})]
Version = Annotated[str, AfterValidator(_version), Field(json_schema_extra={"const": "2.0"})]
Version1 = Literal["1.0"]
Host = Annotated[str, AfterValidator(hosts.parse_host)]
Cidr = Annotated[str, AfterValidator(hosts.parse_cidr)]
Mount = Annotated[str, AfterValidator(_mount)]
Key = Annotated[str, AfterValidator(_key)]
Value = Annotated[str, AfterValidator(_value)]
# A YAML sequence arrives as a list, and a frozen model keeps a tuple: lax for the container, strict for what is in it.
AccessWords = Annotated[tuple[AccessWord, ...], Field(strict=False), Distinct]
Protocols = Annotated[tuple[Protocol, ...], Field(strict=False), Distinct]
Methods = Annotated[tuple[Method, ...], Field(strict=False), Distinct]
UrlPaths = Annotated[tuple[UrlPath, ...], Field(strict=False), Distinct]
# Each port by itself, so that a list with three bad ones says so three times.
Port = Annotated[int | str, AfterValidator(hosts.check_port)]
Ports = Annotated[
    tuple[Port, ...],
    Field(strict=False),
    Distinct,
    BeforeValidator(_port_list, json_schema_input_type=tuple[int | str, ...] | Literal["any"]),
]
