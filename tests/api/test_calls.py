"""A call from its request to its result: what is refused, what the caller is told, what the record says."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from pathlib import Path

import pytest

import sandbox as package
from sandbox import HostUnavailable, NotFound, PolicyError, Sandbox, SandboxError
from sandbox.errors import Code, ComponentError
from sandbox.host.outcome import Ending
from tests.api.conftest import begun, policy, reads, recorded, until
from tests.support.components import files_component
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")

CANARY = "canary-5fd1c07be9"


def every_file(folder: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


async def test_a_tool_that_is_not_there_is_not_found_and_recorded(sandbox: Sandbox, home: Path) -> None:
    with pytest.raises(NotFound) as refused:
        await sandbox.call("files__read", {"path": "/x"})
    assert refused.value.code is Code.TOOL_NOT_FOUND
    (denied,) = recorded(home, "access_denied")
    assert (denied["tool"], denied["rules"], denied["decision"]) == ("files__read", ["tool-is-loaded"], "deny")


async def test_asking_for_what_is_not_there_fills_no_record(sandbox: Sandbox, home: Path) -> None:
    before = sum(path.stat().st_size for path in (home / "audit").glob("*.jsonl"))
    for _ in range(3):
        with pytest.raises(NotFound):
            await sandbox.call(
                "\U0001f600" * 100_000, {"x": "\U0001f600" * 100_000}, session="s" * 100_000, subject="y" * 100_000
            )
    with pytest.raises(SandboxError):
        await sandbox.call("z" * 100_000, {"x": ["y" * 100_000, float("nan")]})
    written = sum(path.stat().st_size for path in (home / "audit").glob("*.jsonl")) - before
    assert written < 4 * (32 << 10)
    refused = recorded(home, "access_denied")
    assert [record["arguments"] for record in refused] == [None] * 4
    assert len(refused[0]["arguments_digest"]) == 64


async def test_arguments_that_json_cannot_carry_are_refused_and_recorded(sandbox: Sandbox, home: Path) -> None:
    await sandbox.load(guest("traps"))
    with pytest.raises(SandboxError) as refused:
        await sandbox.call("traps__fine", {"number": float("nan")})
    assert refused.value.code is Code.INVALID_ARGUMENTS
    (denied,) = recorded(home, "access_denied")
    assert denied["rules"] == ["arguments-are-json"]


async def test_without_a_record_there_is_no_call(sandbox: Sandbox, home: Path, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder, "read, write, create")))
    audit = home / "audit"
    audit.rename(home / "kept")
    with pytest.raises(HostUnavailable):
        await sandbox.call("files__write", {"path": "/data/new.txt", "text": "x"})
    with pytest.raises(HostUnavailable):
        await sandbox.grant_storage_permission("files", f"fs://{folder}/b.txt", ["read"])
    assert sandbox.grants() == ()
    assert not (folder / "new.txt").exists()
    shutil.rmtree(audit, ignore_errors=True)
    (home / "kept").rename(audit)


async def test_a_revoke_holds_even_where_it_cannot_be_recorded(sandbox: Sandbox, home: Path, folder: Path) -> None:
    await sandbox.load(files_component())
    grant = await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"])
    (home / "audit").rename(home / "kept")
    with pytest.raises(HostUnavailable):
        await sandbox.revoke(grant.id)
    assert sandbox.grants() == ()
    shutil.rmtree(home / "audit", ignore_errors=True)
    (home / "kept").rename(home / "audit")
    called = await sandbox.call("files__read", {"path": f"{folder}/a.txt"})
    assert not called.outcome.ok


async def test_a_policy_with_problems_is_refused_with_all_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    broken = policy(tmp_path, "{storage: {allow: [{uri: 'fs:///proc/**', access: [read]}]}, netwrok: {}}")
    with pytest.raises(PolicyError) as refused:
        await sandbox.load(files_component(), policy=broken)
    assert len(refused.value.problems) == 2
    assert sandbox.tools() == ()
    with pytest.raises(PolicyError, match="no policy named"):
        await sandbox.load(files_component(), policy="no-such-name")


async def test_two_components_of_one_name_or_tool_are_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.load(files_component())
    with pytest.raises(ComponentError, match="loaded already"):
        await sandbox.load(guest("traps"), name="files")
    with pytest.raises(SandboxError, match="cannot name"):
        await sandbox.load(guest("traps"), name="../traps")
    assert {tool.component for tool in sandbox.tools()} == {"files"}


async def test_a_sandbox_that_is_not_open_refuses(home: Path) -> None:
    closed = Sandbox(home)
    with pytest.raises(HostUnavailable):
        await closed.call("x", {})
    with pytest.raises(HostUnavailable):
        closed.grants()
    async with closed:
        pass
    with pytest.raises(HostUnavailable):
        await closed.revoke("g-1")


async def test_nothing_is_granted_where_nobody_accepted_a_policy(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    called = await sandbox.call("files__read", {"path": f"{folder}/a.txt"})
    assert called.body is not None
    assert called.body["code"] == "filesystem_access_denied"


async def test_a_denial_says_what_is_missing_and_how_to_grant_it(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder)))
    called = await sandbox.call("files__write", {"path": "/data/new.txt", "text": "x"})
    body = called.body
    assert body is not None
    assert body["code"] == "filesystem_access_denied"
    assert body["tried"]["path"] == "/data/new.txt"
    assert body["missing"]["kind"] == "storage"
    assert body["grant"]["path"] == "/data/new.txt"
    assert "create" in body["grant"]["access"]
    assert body["command"] == f"sandbox permission grant files --from-denial {body['denial_id']}"
    assert body["request_id"] == called.request_id == called.audit_id
    assert len(bytes.fromhex(called.request_id)) == 16
    assert body["error"] == called.outcome.value


async def test_a_denial_tells_no_host_path_that_the_guest_did_not_say(
    sandbox: Sandbox, folder: Path, home: Path, tmp_path: Path
) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder)))
    for path in ("/data/new.txt", "/data/../data/x/y", "/elsewhere", "relative", "/data/a.txt/b"):
        called = await sandbox.call("files__write", {"path": path, "text": "x"})
        assert called.body is not None
        assert str(tmp_path) not in json.dumps(called.body)
        assert str(tmp_path) not in called.outcome.message
    for record in recorded(home, "tool_invoke", "tool_failure", "access_denied"):
        assert str(tmp_path) not in json.dumps(record)


async def test_a_guests_own_error_is_told_as_the_guest_said_it(
    sandbox: Sandbox, folder: Path, tmp_path: Path, home: Path
) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder)))
    called = await sandbox.call("files__read", {"path": "/data/missing.txt"})
    assert called.body is not None
    assert called.body["code"] == "guest_error"
    assert "no-entry" in called.body["error"]
    (failure,) = recorded(home, "tool_failure")
    assert "no-entry" in failure["detail"]["error"]


@pytest.mark.parametrize(
    ("tool", "arguments", "ending", "code"),
    [
        ("traps__unreachable", {}, Ending.TRAPPED, Code.TRAPPED),
        ("traps__fine", {"number": "x"}, Ending.INVALID_ARGUMENTS, Code.INVALID_ARGUMENTS),
        ("traps__fine", {"number": 1, "more": 2}, Ending.INVALID_ARGUMENTS, Code.INVALID_ARGUMENTS),
    ],
)
async def test_what_goes_wrong_has_a_body_and_a_record(
    sandbox: Sandbox, home: Path, tool: str, arguments: dict[str, object], ending: Ending, code: Code
) -> None:
    await sandbox.load(guest("traps"))
    called = await sandbox.call(tool, arguments)
    assert called.outcome.ending is ending
    assert called.body is not None
    assert called.body["code"] == code
    assert called.body["message"]
    (failure,) = recorded(home, "tool_failure")
    assert (failure["ending"], failure["code"]) == (ending.value, code.value)
    assert (await sandbox.call("traps__fine", {"number": 7})).outcome.value is not None


async def test_a_limit_names_itself_its_line_and_the_grant(sandbox: Sandbox, tmp_path: Path, home: Path) -> None:
    await sandbox.load(guest("exhaust_sleep"), policy=policy(tmp_path, "{resources: {limits: {wall_time: 100ms}}}"))
    called = await sandbox.call("exhaust_sleep__sleep", {"milliseconds": "60000"})
    assert called.outcome.ending is Ending.LIMIT
    assert called.body is not None
    assert called.body["code"] == "resource_limit_exceeded"
    assert "wall_time" in called.body["message"]
    assert "policy.yaml:2" in called.body["message"]
    assert str(tmp_path) not in json.dumps(called.body)
    assert [one["event"] for one in recorded(home)][-2:] == ["worker_killed", "tool_failure"]


async def test_a_cancelled_call_is_dead_and_recorded(sandbox: Sandbox, home: Path) -> None:
    await sandbox.load(guest("exhaust_sleep"))
    task = asyncio.create_task(sandbox.call("exhaust_sleep__sleep", {"milliseconds": "20000"}, call_id="mine"))
    await until(lambda: begun(sandbox))
    with pytest.raises(SandboxError, match="runs already"):
        await sandbox.call("exhaust_sleep__sleep", {"milliseconds": "1"}, call_id="mine")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sandbox.metrics()["running"] == 0
    invoke, killed, failure = recorded(home)[-3:]
    assert [one["event"] for one in (invoke, killed, failure)] == ["tool_invoke", "worker_killed", "tool_failure"]
    assert failure["ending"] == "cancelled"
    assert len({one["audit_id"] for one in (invoke, killed, failure)}) == 1


async def test_attempt_and_outcome_are_two_records_of_one_id(sandbox: Sandbox, home: Path, folder: Path, tmp_path: Path) -> None:
    loaded = await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder)))
    called = await sandbox.call("files__read", {"path": "/data/a.txt"}, subject="ann", session="s1")
    assert called.outcome.value == "alpha"
    assert called.body is None
    invoke, success = recorded(home, "tool_invoke", "tool_success")
    assert invoke["audit_id"] == success["audit_id"] == called.request_id
    assert invoke["arguments"] == {"path": "/data/a.txt"}
    assert invoke["arguments_digest"] == success["arguments_digest"]
    assert (invoke["decision"], invoke["rules"]) == ("allow", ["permissive"])
    for record in (invoke, success):
        assert (record["subject"], record["session"], record["tool"]) == ("ann", "s1", "files__read")
        assert (record["component"], record["digest"]) == ("files", loaded.digest)
    assert success["usage"]["wall_ms"] > 0
    assert success["duration_ms"] > 0


async def test_no_secret_is_in_any_file_of_the_home(home: Path, tmp_path: Path) -> None:
    """A value of the environment that the guest is given, one that it is not, and what the guest prints of both."""
    key = "sk-ant-api03-" + CANARY * 3
    environment = {"SERVICE_TOKEN": CANARY + "-host", "OTHER_SECRET": CANARY + "-other"}
    permissions = "{environment: {allow: [{key: SERVICE_TOKEN}]}}"
    async with Sandbox(home, environment=environment) as sandbox:
        await sandbox.load(guest("prints"), policy=policy(tmp_path, permissions))
        await sandbox.call("prints__print", {"text": f"password={CANARY}-argument {CANARY}-host {key}"})
    assert [path for path, content in every_file(home) if CANARY.encode() in content] == []
    success = recorded(home, "tool_success")[0]
    assert "[REDACTED:SERVICE_TOKEN]" in success["stdout"]
    assert {"SERVICE_TOKEN", "PASSWORD"} <= set(success["redactions"])


async def test_what_a_guest_prints_is_in_the_record(sandbox: Sandbox, home: Path) -> None:
    await sandbox.load(guest("prints"))
    await sandbox.call("prints__print", {"text": '{"jsonrpc": "2.0"}\n\x1b[31m'})
    (success,) = recorded(home, "tool_success")
    assert success["stdout"] == success["stderr"] == '{"jsonrpc": "2.0"}\n\x1b[31m\n'


async def test_what_was_accepted_once_holds_the_next_time(home: Path, folder: Path, tmp_path: Path) -> None:
    async with Sandbox(home) as first:
        await first.load(files_component(), policy=policy(tmp_path, reads(folder)))
    async with Sandbox(home) as second:
        await second.load(files_component())
        assert (await second.call("files__read", {"path": "/data/a.txt"})).outcome.ok
    async with Sandbox(home) as third:
        await third.load(guest("traps"), name="files")
        assert third.get_policy("files").grants == ()
        assert "fs://" not in third.get_policy("files").text


async def test_a_document_made_in_python_is_as_good_as_a_file(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    document = package.load_policy(policy(tmp_path, reads(folder)).read_text(), file="x.yaml")
    await sandbox.load(files_component(), policy=document)
    assert (await sandbox.call("files__read", {"path": "/data/a.txt"})).outcome.ok


async def test_on_change_hears_of_loads_and_policies(sandbox: Sandbox, folder: Path) -> None:
    heard: list[int] = []
    sandbox.on_change(lambda: heard.append(len(sandbox.tools())))
    await sandbox.load(guest("traps"))
    loaded = len(heard)
    assert heard[-1] > 0
    await sandbox.grant_storage_permission("traps", f"fs://{folder}/**", ["read"])
    assert len(heard) > loaded > 0


async def test_the_layers_are_told(sandbox: Sandbox) -> None:
    report = await sandbox.doctor()
    assert {layer.name for layer in report.layers} >= {"seccomp", "landlock", "namespaces"}
    assert all(dataclasses.is_dataclass(layer) for layer in report.layers)
