"""A webhook is told of each request, signed; its answers come back signed, and nothing else is heard. Real sockets."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.admission.approval import State
from sandbox.admission.document.load import load_admission
from sandbox.changes.signed import headers_of, key_of
from sandbox.config.approvals import ApprovalKeys, WebhookSection
from sandbox.errors import ApprovalPending, HostUnavailable
from sandbox.server.http.callback import PATH
from sandbox.server.http.tokens import tokens_of
from sandbox.state import Home
from sandbox.state.secrets import SecretStore
from tests.support.guests import guest
from tests.support.http import Served, served

pytestmark = pytest.mark.asyncio(loop_scope="module")
ECHO = "every_type__echo-string"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DOCUMENT = """version: "1.0"
template: permissive
roles: {boss: {permissions: [{resource: "tools/*", actions: [invoke]}]}}
assignments: {local: [boss], ann: [boss], agent: [boss]}
rules:
  - {name: of-the-boss, effect: require_approval, when: {arguments.x: boss}, constraints: {approver_role: boss}}
approvals: {require: ["every_type__echo-string"]}
"""


@dataclass
class Receiver:
    """Somebody who is posted to; `statuses` are what he answers, the last one for good."""

    url: str
    statuses: list[int]
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.came.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]
            self.send_response(status)
            if status == 307:
                self.send_header("location", f"{found.url}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(1) as thread:
        found = Receiver(f"http://127.0.0.1:{server.server_port}/in?from=here", [204])
        thread.submit(server.serve_forever, 0.01)
        yield found
        server.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> AsyncIterator[tuple[Served, Sandbox]]:
    folder = tmp_path_factory.mktemp("webhook")
    environment = {"XDG_CONFIG_HOME": str(folder / "config")}
    SecretStore.of(Home.open(folder / "home", environment), environment).set("approvals/key", SECRET, time.time())
    keys = ApprovalKeys(webhook=WebhookSection(url=receiver.url, secret="approvals/key"))
    document = load_admission(DOCUMENT, file="admission.yaml")
    async with Sandbox(folder / "home", admission=document, environment=environment, approvals=keys, spares=1) as sandbox:
        await sandbox.load(guest("every_type"))
        assert sandbox._webhook is not None
        sandbox._webhook.pauses_s = (0.0, 0.0, 0.0)
        tokens = tokens_of("agent agent-has-this-very-long-token\n", "tokens")
        async with served(sandbox, verifier=tokens) as one:
            yield one, sandbox


async def until(said: Callable[[], Any]) -> Any:
    async with asyncio.timeout(20):
        while not (found := said()):
            await asyncio.sleep(0.01)
    return found


async def asked(sandbox: Sandbox, text: str) -> str:
    with pytest.raises(ApprovalPending) as found:
        await sandbox.call(ECHO, {"x": text}, subject="agent")
    return found.value.approval


def of(receiver: Receiver, approval: str) -> list[tuple[str, dict[str, str], bytes]]:
    return [one for one in receiver.came if one[1]["webhook-id"] == approval]


async def test_a_request_is_told_signed_and_without_its_arguments(front: tuple[Served, Sandbox], receiver: Receiver) -> None:
    _, sandbox = front
    approval = await asked(sandbox, "a canary")
    ((path, headers, body),) = await until(lambda: of(receiver, approval))
    assert path == "/in?from=here"
    signed = f"{approval}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    told = json.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["tool"]) == ("approval.requested", approval, ECHO)
    assert told["data"]["length"] == len('{"x":"a canary"}')
    assert b"canary" not in body


async def test_arguments_are_told_where_the_operator_says_so(front: tuple[Served, Sandbox], receiver: Receiver) -> None:
    _, sandbox = front
    hook = sandbox._webhook
    assert hook is not None
    plain, hook.section = hook.section, hook.section.model_copy(update={"arguments": True})
    try:
        approval = await asked(sandbox, "in clear")
        ((_, _, body),) = await until(lambda: of(receiver, approval))
    finally:
        hook.section = plain
    assert json.loads(body)["data"]["arguments"] == '{"x":"in clear"}'


async def test_it_is_told_again_a_few_times_and_nobody_is_followed(
    front: tuple[Served, Sandbox], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    _, sandbox = front
    receiver.statuses[:] = [500, 503, 204]
    approval = await asked(sandbox, "again")
    assert len(await until(lambda: len(of(receiver, approval)) == 3 and of(receiver, approval))) == 3
    receiver.statuses[:] = [307]
    approval = await asked(sandbox, "elsewhere")
    await until(lambda: f"`{approval}` could not be told to the webhook: it answered 307" in caplog.text)
    assert {path for path, _, _ in of(receiver, approval)} == {"/in?from=here"}
    assert len(of(receiver, approval)) == 3
    assert sandbox.approval(approval).state is State.PENDING, "and it waits like any other"
    receiver.statuses[:] = [204]


def sent(
    told: dict[str, Any], *, at: float | None = None, key: str = SECRET, message: str | None = None
) -> tuple[bytes, dict[str, str]]:
    body = json.dumps(told).encode()
    now = time.time() if at is None else at
    return body, headers_of(key_of(key), f"msg-{time.monotonic_ns()}", now, body)


async def test_a_signed_answer_counts_and_a_token_is_not_asked_for(front: tuple[Served, Sandbox]) -> None:
    one, sandbox = front
    approval = await asked(sandbox, "signed")
    body, headers = sent({"approval": approval, "answer": "approve", "by": "bob", "note": "fine"})
    answer = await one.ask(path=PATH, body=body, **headers)
    assert (answer.status, answer.json()["state"], answer.json()["yeses"][0]["by"]) == (200, "approved", "callback")
    assert (await sandbox.call(ECHO, {"x": "signed"}, subject="agent")).outcome.value == "signed"
    again = await one.ask(path=PATH, body=body, **headers)
    assert (again.status, "heard already" in again.json()["error"]["message"]) == (401, True)
    approval = await asked(sandbox, "denied")
    body, headers = sent({"approval": approval, "answer": "deny", "by": "bob"})
    assert (await one.ask(path=PATH, body=body, **headers)).json()["state"] == "denied"
    body, headers = sent({"approval": approval, "answer": "approve", "by": "bob"})
    assert (await one.ask(path=PATH, body=body, **headers)).status == 409


async def test_what_is_not_signed_fresh_and_new_is_not_heard(front: tuple[Served, Sandbox]) -> None:
    """ADM-07: an approval is not forged."""
    one, sandbox = front
    approval = await asked(sandbox, "forged")
    good = {"approval": approval, "answer": "approve", "by": "bob"}
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    body, headers = sent(good)
    for wrong_body, wrong in (
        (body, {}),
        (body, {**headers, "webhook-signature": ""}),
        (body, {**headers, "webhook-signature": "v1,bm9uZQ=="}),
        (body, {**headers, "webhook-id": "another"}),
        (body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (body.replace(b"bob", b"ann"), headers),
        sent(good, key=other),
        sent(good, at=time.time() - 301),
        sent(good, at=time.time() + 302),
    ):
        assert (await one.ask(path=PATH, body=wrong_body, **wrong)).status == 401
        assert (
            await one.ask(path=PATH, body=wrong_body, authorization="Bearer agent-has-this-very-long-token", **wrong)
        ).status == 401
    assert sandbox.approval(approval).state is State.PENDING
    twice = {**headers, "webhook-signature": f"v1,bm9uZQ== {headers['webhook-signature']}"}
    assert (await one.ask(path=PATH, body=body, **twice)).status == 200, "one of several signatures is enough"


async def test_who_has_the_secret_still_needs_the_role_and_is_not_who_asked(front: tuple[Served, Sandbox]) -> None:
    """ADM-07."""
    one, sandbox = front
    approval = await asked(sandbox, "boss")
    for by, status in (("bob", 403), ("agent", 403), ("ann", 200)):
        body, headers = sent({"approval": approval, "answer": "approve", "by": by})
        assert (await one.ask(path=PATH, body=body, **headers)).status == status, by


async def test_an_answer_that_could_not_be_kept_may_be_sent_again(
    front: tuple[Served, Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, sandbox = front
    approval = await asked(sandbox, "kept later")
    body, headers = sent({"approval": approval, "answer": "approve", "by": "bob"})

    def broken(*_: object, **__: object) -> None:
        raise HostUnavailable("no record")

    with monkeypatch.context() as patched:
        patched.setattr(type(sandbox._log), "append", broken)
        assert (await one.ask(path=PATH, body=body, **headers)).status == 503
    assert sandbox.approval(approval).state is State.PENDING
    assert [(await one.ask(path=PATH, body=body, **headers)).status for _ in range(2)] == [200, 401]


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"approval": "a-1", "answer": "approve"},
        {"approval": "a-1", "answer": "yes", "by": "ann"},
        {"approval": "a-1", "answer": "approve", "by": ""},
        {"approval": "a-1", "answer": "approve", "by": "a\x1b"},
        {"approval": "a-1", "answer": "approve", "by": "ann", "roles": "boss"},
        {"approval": ["a-1"], "answer": "approve", "by": "ann"},
    ],
)
async def test_what_is_no_answer_is_refused(front: tuple[Served, Sandbox], told: dict[str, Any]) -> None:
    one, _ = front
    body, headers = sent(told)
    assert (await one.ask(path=PATH, body=body, **headers)).status == 400
    body, headers = sent({"approval": "a-" + "0" * 32, "answer": "approve", "by": "ann"})
    assert (await one.ask(path=PATH, body=body, **headers)).status == 404


async def test_it_is_posted_to_and_without_a_webhook_not_there(front: tuple[Served, Sandbox], tmp_path: Path) -> None:
    one, _ = front
    assert (await one.ask("GET", PATH)).status == 405
    assert (await one.ask(path=PATH, body=b"{}", content_type="text/plain")).status == 415
    assert (await one.ask(path=f"{PATH}/", body=b"{}")).status == 401, "another path asks for a token"
    async with Sandbox(tmp_path / "home", state="memory") as sandbox, served(sandbox) as other:
        assert (await other.ask(path=PATH, body=b"{}")).status == 404
