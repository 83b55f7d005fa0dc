"""What a policy accepts, it enforces: every row of `enforcement.py` is run, and every field of the schema has one."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
import types
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pydantic
import pytest
import pytest_asyncio
import trustme

from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.result import CallResult
from sandbox.state import Home
from sandbox.state.secrets import SecretStore
from tests.attacks.stage import Stage, staged
from tests.attacks.test_network import greet
from tests.enforcement import ROWS, TCP_ROWS, Call, Row
from tests.host.gateway import upstream
from tests.support.components import COMPONENTS
from tests.support.guests import guest

NOT_A_RULE = {"version", "description"}
"""Fields that grant nothing and limit nothing."""


def leaves(model: type[pydantic.BaseModel], prefix: str = "") -> Iterator[str]:
    """The fields of a document, as a path without the numbers of lists."""
    for name, info in model.model_fields.items():
        inner = submodel(info.annotation)
        yield from leaves(inner, f"{prefix}{name}.") if inner else [prefix + name]


def submodel(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model inside of an annotation: itself, an item of a tuple, or one side of a union."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    inner = (submodel(each) for each in typing.get_args(annotation) if not isinstance(each, types.EllipsisType))
    return next((each for each in inner if each), None)


def test_every_field_of_the_schema_has_a_row() -> None:
    assert {row.field for row in ROWS} == set(leaves(PolicyDocument)) - NOT_A_RULE


def test_every_row_is_of_its_own_field() -> None:
    assert len({row.field for row in ROWS}) == len(ROWS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, certificates: trustme.CA) -> AsyncIterator[Stage]:
    """One host for all rows; each loads its guest under a name of its own."""
    folder = tmp_path_factory.mktemp("enforcement")
    (folder / "w/private").mkdir(parents=True)
    for name in ("w/x", "w/private/x"):
        (folder / name).write_text("content")
    nameserver = upstream.Nameserver()
    nameserver.renew({name: [("127.0.0.1",)] for name in ("a.test", "b.test")})
    with pytest.MonkeyPatch.context() as host:
        host.setenv("SANDBOX_ROW_A", "host a")
        host.setenv("SANDBOX_ROW_B", "host b")
        host.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        host.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        certificates.cert_pem.write_to_path(str(folder / "ca.pem"))
        SecretStore.of(Home.open(folder / "home", os.environ), os.environ).set("row/set", "the value of row/set", 1.0)
        async with staged(folder, nameserver=nameserver.address) as stage:
            yield stage
    nameserver.close()


@pytest.fixture(scope="module")
def certificates() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(certificates: trustme.CA) -> Iterator[int]:
    """A web server behind TLS that answers with the head of the request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.issue_cert("a.test", "b.test").configure_cert(context)
    server = upstream.start(lambda sock: sock.sendall(upstream.answer(upstream.read_head(sock))), context)
    yield server.port
    server.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A web server."""
    server = upstream.start(greet)
    yield server.port
    server.close()


@pytest.fixture(scope="module")
def slow() -> Iterator[int]:
    """A web server that takes its time."""
    server = upstream.start(answer_late)
    yield server.port
    server.close()


def answer_late(sock: socket.socket) -> None:
    upstream.read_head(sock)
    time.sleep(0.5)
    sock.sendall(upstream.answer(b"late"))


@pytest.fixture(scope="module")
def long() -> Iterator[int]:
    """A web server that says much."""
    server = upstream.start(answer_much)
    yield server.port
    server.close()


def answer_much(sock: socket.socket) -> None:
    upstream.read_head(sock)
    sock.sendall(upstream.answer(b"x" * 5000))


def placed(value: Any, **places: Any) -> Any:
    """A text, or the texts in a value, with the row's places filled in."""
    if isinstance(value, str):
        for name, text in places.items():
            value = value.replace(f"{{{name}}}", str(text))
        return value
    if isinstance(value, dict):
        return {key: placed(each, **places) for key, each in value.items()}
    return [placed(each, **places) for each in value] if isinstance(value, list) else value


def said(result: CallResult) -> str:
    """Everything that the guest or the caller was told."""
    outcome = result.outcome
    told = [outcome.value, outcome.message, result.body, outcome.stdout, [denial.reason for denial in outcome.denials]]
    return "\n".join(each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in told)


def name_of(row: Row) -> str:
    """What a row and its component are called."""
    return row.field.removeprefix("permissions.") + ("-tcp" if row in TCP_ROWS else "")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("row", [*ROWS, *TCP_ROWS], ids=name_of)
async def test_the_field_is_enforced(stage: Stage, port: int, slow: int, long: int, tls: int, row: Row) -> None:
    """What runs into the line gets its words; what keeps to it gets through."""
    places = {"folder": stage.folder, "port": port, "slow": slow, "long": long, "tls": tls}
    name = name_of(row).replace(".", "-")
    document = load_policy(placed(row.document, **places), file="policy.yaml")
    file = COMPONENTS / row.guest / f"{row.guest}.wasm"
    await stage.sandbox.load(file if file.is_file() else guest(row.guest), policy=document, name=name)

    async def called(call: Call) -> CallResult:
        arguments = placed(call.arguments, **places)
        if row.guest == "dials":
            arguments["port"] = int(arguments["port"])
        if "paths" in arguments:
            arguments["paths"] = [path.lstrip("/") for path in arguments["paths"]]
        return await stage.sandbox.call(f"{name}__{call.tool}", arguments)

    results = await asyncio.gather(*(called(row.refused) for _ in range(row.at_once)))
    assert row.message in "\n".join(map(said, results))
    if row.allowed is not None:
        allowed = await called(row.allowed)
        assert allowed.outcome.ok, allowed.outcome
        assert row.message not in said(allowed)
