"""Secrets as a component and its operator meet them: given at the call, hidden in every record, nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
import trustme

from sandbox.api import Sandbox
from sandbox.errors import GrantError
from sandbox.policy.grants import make_entry
from sandbox.policy.load import load_policy
from sandbox.state.secrets import SecretStore
from tests.attacks.stage import Stage, children, policy, staged, value
from tests.host.gateway import upstream
from tests.support.commands import sandbox
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "CANARY-77be41c09d"
"""The credential's value."""
SHOWN = "CANARY-a0d3e5f611"
"""The variable's."""
ENVIRONMENT = policy(environment="key: API_KEY, secret: weather/api-key\nkey: MODE, value: test")


class Server:
    """A TLS server that answers each request with its head, after `gate` is open."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.heads: list[str] = []
        self.says: list[bytes] = []
        """What it answers instead of the head."""
        self.reached, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self.upstream = upstream.start(self._answer, context)
        self.port = self.upstream.port

    def _answer(self, sock: socket.socket) -> None:
        head = upstream.read_head(sock)
        self.heads.append(head.decode())
        self.reached.set()
        assert self.gate.wait(20)
        for piece in self.says or [upstream.answer(head)]:
            sock.sendall(piece)
            time.sleep(0.05 if self.says else 0)  # so that a piece comes by itself


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server, upstream.Nameserver]]:
    """The trust store, the server and the nameserver."""
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test", "other.test").configure_cert(context)
    nameserver = upstream.Nameserver()
    nameserver.renew({name: [("127.0.0.1",)] for name in ("api.test", "other.test")})
    server = Server(context)
    yield bundle, server, nameserver
    server.upstream.close()
    nameserver.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    tmp_path_factory: pytest.TempPathFactory, outside: tuple[Path, Server, upstream.Nameserver]
) -> AsyncIterator[Stage]:
    """A host whose own environment has a variable of the secret's name, which must never be in its place."""
    bundle, _, nameserver = outside
    folder = tmp_path_factory.mktemp("secrets")
    with pytest.MonkeyPatch.context() as host:
        host.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        host.setenv("SSL_CERT_FILE", str(bundle))
        host.setenv("API_KEY", "the host's own")
        async with staged(folder, nameserver=nameserver.address) as stage:
            yield stage


@pytest.fixture
def server(outside: tuple[Path, Server, upstream.Nameserver]) -> Server:
    return outside[1]


@pytest.fixture
def store(stage: Stage) -> Iterator[SecretStore]:
    """The host's store, as the command in another process has it; emptied afterwards."""
    store = SecretStore(stage.home / "secrets", stage.folder / "config" / "sandbox" / "secrets.key")
    yield store
    (stage.home / "secrets" / "secrets.json").unlink(missing_ok=True)


def everywhere(folder: Path, secret: str) -> list[Path]:
    """The files below a folder that hold a secret, as it is or in a usual encoding."""
    forms = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()[:-4], secret.encode().hex()}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if any(form.encode() in path.read_bytes() for form in forms)]


def with_credential(port: int, secret: str = "api/token") -> str:
    """A document that reaches `api.test` with a credential, and every other host without one."""
    added = f'{{secret: {secret}, header: Authorization, format: "Bearer {{secret}}"}}'
    return policy(
        network=f"""host: api.test, ports: [{port}], protocols: [https], credential: {added}
                    host: "*.test", ports: [{port}]
                    cidr: 127.0.0.0/8, ports: any"""
    )


def ask(host: str, port: int) -> dict[str, object]:
    return {"method": "GET", "scheme": "https", "authority": f"{host}:{port}", "path": "/v1", "headers": [], "body": ""}


# A variable.


async def test_a_secret_that_is_not_set_is_a_denial_that_says_the_command(stage: Stage, store: SecretStore) -> None:
    """The call goes on without the variable; the host's own of that name is no secret and is not given in its place."""
    await stage.load("escape_environment", ENVIRONMENT)
    result = await stage.call("escape_environment__look")
    assert value(result)["variables"] == [["MODE", "test"]]
    (denial,) = result.outcome.denials
    assert (denial.code.value, denial.target) == (
        "environment_access_denied",
        {"variable": "API_KEY", "secret": "weather/api-key"},
    )
    (record,) = [one for one in stage.records() if one["audit_id"] == result.request_id and one["event"] == "access_denied"]
    assert record["reason"] == "the secret `weather/api-key` is not set"


async def test_a_call_that_fails_for_want_of_a_secret_names_the_command_and_no_grant_helps(
    stage: Stage, store: SecretStore
) -> None:
    """The command is run as it stands; a person who tries to grant the variable from the denial is told why that is none."""
    document = load_policy(ENVIRONMENT, file="policy.yaml")
    await stage.sandbox.load(guest("traps"), policy=document, name="wanting")
    body = (await stage.sandbox.call("wanting__unreachable", {})).body
    assert body is not None
    assert (body["code"], body["command"]) == ("environment_access_denied", "sandbox secret set weather/api-key")
    assert "grant" not in body
    with pytest.raises(GrantError, match="`weather/api-key` is not set"):
        await stage.sandbox.grant_from_denial(body["denial_id"])
    store.set("weather/api-key", SHOWN, 1.0)
    body = (await stage.sandbox.call("wanting__unreachable", {})).body
    assert body is not None
    assert body["code"] == "trapped"


async def test_a_component_whose_secret_is_not_set_says_so_when_it_is_loaded(stage: Stage, store: SecretStore) -> None:
    """Before anybody calls it; and no more once it is set."""
    document = load_policy(ENVIRONMENT, file="policy.yaml")
    loaded = await stage.sandbox.load(guest("escape_environment"), policy=document, name="unset")
    (told,) = [text for text in loaded.warnings if "weather/api-key" in text]
    assert told.endswith("denied: `sandbox secret set weather/api-key`")
    store.set("weather/api-key", SHOWN, 1.0)
    loaded = await stage.sandbox.load(guest("escape_environment"), policy=document, name="was-set")
    assert not [text for text in loaded.warnings if "weather/api-key" in text]


async def test_a_secret_is_given_at_the_call_and_one_that_changes_at_the_next(stage: Stage, store: SecretStore) -> None:
    """Set by another process while the server runs; taken away, it is missing again."""
    await stage.load("escape_environment", ENVIRONMENT)
    for text in (SHOWN, "another value", SHOWN + "\nof two lines"):
        store.set("weather/api-key", text, 1.0)
        assert dict(value(await stage.call("escape_environment__look"))["variables"])["API_KEY"] == text
    store.remove("weather/api-key")
    assert value(await stage.call("escape_environment__look"))["variables"] == [["MODE", "test"]]


async def test_a_server_and_a_terminal_beside_it_share_the_secrets(stage: Stage, store: SecretStore) -> None:
    """Two hosts of one home: what is set holds in both."""
    await stage.load("escape_environment", ENVIRONMENT)
    async with Sandbox(stage.home) as beside:
        await beside.load(guest("escape_environment"))
        store.set("weather/api-key", SHOWN, 1.0)
        for host in (stage.sandbox, beside):
            assert dict(value(await host.call("escape_environment__look", {}))["variables"])["API_KEY"] == SHOWN


async def test_no_secret_of_the_store_is_in_any_record(stage: Stage, store: SecretStore) -> None:
    """AUD-04: given to the guest, printed by it, or written by a client as an argument: hidden wherever it comes from."""
    store.set("weather/api-key", SHOWN, 1.0)
    store.set("another/one", f"first line\n{CANARY}\n", 1.0)
    await stage.load("escape_environment", ENVIRONMENT)
    value(await stage.call("escape_environment__look"))
    await stage.load("prints")
    for text in (
        SHOWN,
        f"x{CANARY}x",
        json.dumps({"key": SHOWN}),
        base64.b64encode(SHOWN.encode()).decode(),
        quote(f"{SHOWN}=/"),
    ):
        result = await stage.call("prints__print", text=text)
        records = [one for one in stage.records() if one["audit_id"] == result.request_id]
        assert any("REDACTED" in json.dumps(one["arguments"]) for one in records)
        assert "REDACTED" in records[-1]["stdout"]
    assert everywhere(stage.folder, SHOWN) == []
    assert everywhere(stage.folder, CANARY) == []


async def test_a_grant_gives_no_secret_and_carries_no_credential() -> None:
    """What only the operator's accepted document may say."""
    with pytest.raises(GrantError, match="a grant gives no secret"):
        make_entry("environment", {"key": "A", "secret": "weather/api-key"})
    added = {"host": "a.test", "protocols": ["https"], "credential": {"secret": "a", "header": "X"}}
    with pytest.raises(GrantError, match="a grant carries no credential") as refused:
        make_entry("network", added)
    assert "into the component's policy" in str(refused.value.help)


# A credential.


async def test_a_credential_goes_to_its_host_and_the_guest_never_sees_it(
    stage: Stage, store: SecretStore, server: Server
) -> None:
    """Not in its environment, not beside a request to another host, and not from a server that sends it back."""
    server.heads.clear()
    store.set("api/token", CANARY, 1.0)
    await stage.load("escape_network", with_credential(server.port))
    mirrored = value(await stage.call("escape_network__request", **ask("api.test", server.port)))
    assert f"authorization: Bearer {'*' * len(CANARY)}\r\n" in mirrored["body"]
    assert CANARY not in json.dumps(mirrored)
    other = value(await stage.call("escape_network__request", **ask("other.test", server.port)))
    assert CANARY not in json.dumps(other)
    assert len([head for head in server.heads if CANARY in head]) == 1
    assert everywhere(stage.folder, CANARY) == []


async def test_a_server_that_sends_a_credential_back_tells_it_to_nobody(
    stage: Stage, store: SecretStore, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """AUD-04: in its head, its body in two pieces, an answer that breaks off: not in the result, a file or the log."""
    store.set("api/token", CANARY, 1.0)
    await stage.load("escape_network", with_credential(server.port))
    half = len(CANARY) // 2
    answers = (
        [f"HTTP/1.1 200 {CANARY}\r\nX-Echo: {CANARY}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        [f"HTTP/1.1 200 OK\r\nContent-Length: {len(CANARY)}\r\n\r\n{CANARY[:half]}", CANARY[half:]],
        [f"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\n{CANARY}"],
        [f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n"],
        [f"{CANARY}\r\n\r\n"],
    )
    with caplog.at_level(logging.DEBUG):
        for answer in answers:
            server.says = [piece.encode() for piece in answer]
            result = await stage.call("escape_network__request", **ask("api.test", server.port))
            assert CANARY in server.heads[-1], "else nothing was sent that could come back"
            assert CANARY not in repr(result)
            assert CANARY[:half] not in repr(result.outcome.value)
    server.says = []
    assert CANARY not in caplog.text
    assert everywhere(stage.folder, CANARY) == []


async def test_a_credential_that_changes_goes_with_the_next_call(stage: Stage, store: SecretStore, server: Server) -> None:
    """The worker and the gateway are those of the call before."""
    await stage.load("escape_network", with_credential(server.port))
    for text in ("first value", "second value"):
        store.set("api/token", text, 1.0)
        value(await stage.call("escape_network__request", **ask("api.test", server.port)))
        assert f"authorization: Bearer {text}" in server.heads[-1]


async def test_without_its_secret_a_request_is_refused_and_the_body_says_what_to_set(
    stage: Stage, store: SecretStore, server: Server
) -> None:
    """The command that the denial names, run as it stands, is what was missing."""
    server.heads.clear()
    await stage.load("escape_network", with_credential(server.port))
    result = await stage.call("escape_network__request", **ask("api.test", server.port))
    assert (value(result)["status"], server.heads) == (403, [])
    (denial,) = result.outcome.denials
    assert (denial.reason, denial.target["secret"]) == ("the secret `api/token` is not set", "api/token")
    answer = value(await stage.call("escape_network__request", **ask("other.test", server.port)))
    assert answer["status"] == 200


async def test_while_it_is_used_only_the_gateway_and_the_server_have_it(stage: Stage, store: SecretStore, server: Server) -> None:
    """Looked for in the memory of every process below this one; a variable's value is with its worker, and with no gateway."""
    used, shown = (f"CANARY-{secrets.token_hex(8)}" for _ in range(2))
    store.set("api/token", used, 1.0)
    store.set("weather/api-key", shown, 1.0)
    both = with_credential(server.port) + "  environment: {allow: [{key: API_KEY, secret: weather/api-key}]}\n"
    await stage.load("escape_network", both)
    server.reached.clear()
    server.gate.clear()
    call = asyncio.create_task(stage.call("escape_network__request", **ask("api.test", server.port)))
    try:
        assert await asyncio.to_thread(server.reached.wait, 20)
        having = {secret: {_name(pid) for pid in children(os.getpid()) if _holds(pid, secret)} for secret in (used, shown)}
    finally:
        server.gate.set()
    value(await call)
    assert having == {used: {"sandbox.host.gateway"}, shown: {"sandbox.host.zygote"}}


def _name(pid: int) -> str:
    """The module that a process runs; workers are forks of the zygote."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(b"-m") + 1].decode()


def _holds(pid: int, secret: str) -> bool:
    """Whether a process has the text in the memory that it has touched, its arguments or its environment."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        return any(secret.encode() in _read(memory.fileno(), low, high) for low, high in _touched(pid))


def _touched(pid: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text()):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", block)
        resident = re.search(r"^Rss: +([0-9]+)", block, re.MULTILINE)
        if head and resident and int(resident[1]):
            found.append((int(head[1], 16), int(head[2], 16)))
    return found


def _read(memory: int, low: int, high: int) -> bytes:
    try:
        return os.pread(memory, min(high - low, 64 << 20), low)
    except OSError:
        return b""


# Where something is wrong.


async def test_a_store_that_does_not_hold_gives_no_value_and_stops_nobody_else(
    stage: Stage, store: SecretStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns that it cannot be read, and not where it lies; the host's log says what to do."""
    store.set("weather/api-key", SHOWN, 1.0)
    await stage.load("escape_environment", ENVIRONMENT)
    file = stage.home / "secrets" / "secrets.json"
    file.write_text(file.read_text().replace('"version":1', '"version":2'))
    with caplog.at_level(logging.ERROR, logger="sandbox"):
        result = await stage.call("escape_environment__look")
        await stage.neighbour_is_well()
    assert value(result)["variables"] == [["MODE", "test"]]
    (denial,) = result.outcome.denials
    assert denial.reason == "the secret `weather/api-key` cannot be read: the secret store does not hold"
    told = [one.getMessage() for one in caplog.records if "the secret store" in one.getMessage()]
    assert len(told) == 1
    assert str(file) in told[0]
    assert SHOWN not in told[0]


async def test_no_output_of_any_command_has_a_secret_in_it(stage: Stage, store: SecretStore, server: Server) -> None:
    """AUD-04, from outside: what is listed, explained, checked and audited of a component that uses two."""
    store.set("api/token", CANARY, 1.0)
    store.set("weather/api-key", SHOWN, 1.0)
    document = stage.folder / "both.yaml"
    document.write_text(with_credential(server.port) + "  environment: {allow: [{key: API_KEY, secret: weather/api-key}]}\n")
    await stage.load("escape_network", document.read_text())
    value(await stage.call("escape_network__request", **ask("other.test", server.port)))
    home = ("--home", str(stage.home))
    said = ""
    for words in (
        ("secret", "list"),
        ("policy", "check", str(document)),
        ("policy", "explain", str(document), "--env", "API_KEY", "--url", f"https://api.test:{server.port}/v1"),
        ("audit", "list", "--limit", "50"),
        ("permission", "list"),
        ("config", "show"),
    ):
        for more in ((), ("--json",)):
            done = await asyncio.to_thread(sandbox, *words, *more, *home)
            assert done.stdout or done.stderr
            said += done.stdout + done.stderr
    assert "weather/api-key" in said
    assert "api/token" in said
    assert CANARY not in said
    assert SHOWN not in said
    view = json.dumps(stage.sandbox.get_policy("escape_network").to_json())
    assert "api/token" in view
    assert CANARY not in view
