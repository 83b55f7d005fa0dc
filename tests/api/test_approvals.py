"""A call that needs an approval: who may give it, that it is used once and of exactly that call, and what makes it void."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import NotAdmitted, NotFound, Sandbox
from sandbox.admission import CallRequest, Decision, Subject, new_request_id
from sandbox.admission.approval import Approval, ApprovalError, State
from sandbox.admission.document.load import load_admission_file
from sandbox.admission.looking_back.replaying import replay
from sandbox.audit import records
from sandbox.changes import approving
from sandbox.changes.approving import Approvals
from sandbox.changes.asking import Answer, Asked, Person
from sandbox.config.approvals import ApprovalKeys
from sandbox.dispatch import Call
from sandbox.errors import ApprovalPending, Code, SandboxError
from sandbox.in_force.admitting import HANDLED
from tests.api.conftest import policy, recorded, until
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")

ECHO = "every_type__echo-string"
ASK = "template: permissive\napprovals: {require: ['every_type__*']}"
AGENT = Subject.local("agent")
ANN = Subject("ann", scopes=("admin",))
BOB = Subject("bob", scopes=("admin",))


def written(home: Path, text: str) -> Path:
    """An admission document in a file, which another one takes the place of."""
    file = home.with_name("admission.yaml")
    fresh = home.with_name("fresh.yaml")
    fresh.write_text(f'version: "1.0"\n{text}\n')
    fresh.chmod(0o600)
    return fresh.replace(file)


@asynccontextmanager
async def hosted(home: Path, text: str = ASK, **options: Any) -> AsyncIterator[Sandbox]:
    environment = {"XDG_CONFIG_HOME": str(home.parent)}
    async with Sandbox(home, admission=written(home, text), environment=environment, **options) as sandbox:
        await sandbox.load(guest("every_type"))
        yield sandbox


async def echo(sandbox: Sandbox, text: str = "a", **told: Any) -> Any:
    return (await sandbox.call(ECHO, {"x": text}, **{"subject": "agent", **told})).outcome.value


async def pending(sandbox: Sandbox, text: str = "a", **told: Any) -> str:
    """The id of the approval that a call waits for."""
    with pytest.raises(ApprovalPending) as found:
        await echo(sandbox, text, **told)
    return found.value.approval


async def refused(sandbox: Sandbox, text: str = "a", **told: Any) -> NotAdmitted:
    with pytest.raises(NotAdmitted) as found:
        await echo(sandbox, text, **told)
    assert not isinstance(found.value, ApprovalPending)
    return found.value


async def test_without_an_approval_nothing_runs_and_the_refusal_names_the_command(home: Path) -> None:
    async with hosted(home) as sandbox:
        with pytest.raises(ApprovalPending) as found:
            await echo(sandbox, session="s1")
        told = found.value.to_json()
        assert told["code"] == Code.APPROVAL_REQUIRED
        assert told["command"] == f"sandbox approvals approve {told['approval']}"
        assert told["rules"] == ["approvals.require"]
        assert await pending(sandbox) == told["approval"], "the same is asked for once"
        (waiting,) = sandbox.approvals(status="pending")
        assert (waiting.bound.subject, waiting.bound.tool, waiting.session) == ("agent", ECHO, "s1")
        assert sandbox.approval_arguments(waiting) == '{"x":"a"}'
        assert '{"x":"a"}' not in (home / "state/state.sqlite").read_bytes().decode("latin-1")
        assert '{"x":"a"}' not in (home / "state/state.sqlite-wal").read_bytes().decode("latin-1")
    assert not recorded(home, "tool_invoke")
    assert len(recorded(home, "approval_requested")) == 1


async def test_a_yes_is_of_one_call_and_of_exactly_that(home: Path) -> None:
    async with hosted(home) as sandbox:
        approval = await pending(sandbox)
        yes = await sandbox.approve(approval, ANN, "looks right")
        assert (yes.state, yes.sealed, sandbox.approval_arguments(yes)) == (State.APPROVED, None, None)
        others = [
            await pending(sandbox, "b"),
            await pending(sandbox, subject="another"),
            await pending(sandbox, subject=replace(AGENT, tenant="acme")),
            await pending(sandbox, subject=replace(AGENT, roles=("viewer",))),
        ]
        assert len({approval, *others}) == 5
        assert await echo(sandbox, session="another") == "a"
        assert await pending(sandbox) != approval, "it was used"
        assert sandbox.approval(approval).state is State.USED
    (invoked,) = recorded(home, "tool_invoke")
    assert invoked["rules"] == ["approvals.require", f"approval:{approval}"]
    assert invoked["reason"].endswith("approved by `ann`")
    (taken,) = recorded(home, "approval_used")
    assert taken["audit_id"] == invoked["audit_id"]
    (said,) = recorded(home, "approval_approved")
    assert (said["subject"], said["detail"]["requested_by"], said["detail"]["note"]) == ("ann", "agent", "looks right")


async def test_of_many_calls_at_once_one_has_the_approval(home: Path) -> None:
    async with hosted(home) as sandbox:
        await sandbox.approve(await pending(sandbox), ANN)
        ended = await asyncio.gather(*(echo(sandbox) for _ in range(8)), return_exceptions=True)
    assert [one for one in ended if not isinstance(one, BaseException)] == ["a"]
    assert {type(one) for one in ended if isinstance(one, BaseException)} == {ApprovalPending}


async def test_one_that_another_process_takes_in_between_admits_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosted(home) as sandbox:
        approval = await pending(sandbox)
        await sandbox.approve(approval, ANN)
        standing = Approvals.standing

        def taken(self: Approvals, request: CallRequest, decision: Decision) -> Approval | None:
            if (found := standing(self, request, decision)) is not None:
                assert self.use(found, replace(request, request_id=new_request_id())) is not None
            return found

        monkeypatch.setattr(Approvals, "standing", taken)
        assert await pending(sandbox) != approval
    assert not recorded(home, "tool_invoke")


async def test_nobody_answers_who_asked_or_lacks_the_scope_and_no_id_is_guessed(home: Path) -> None:
    """ADM-07, ADM-02."""
    async with hosted(home) as sandbox:
        approval = await pending(sandbox, subject=replace(AGENT, tenant="acme"))
        agent = replace(AGENT, tenant="acme", scopes=("admin",))
        for answer in (sandbox.approve, sandbox.deny_approval):
            for by in (agent, Subject("bot", scopes=("tools:invoke", "resources:write"))):
                with pytest.raises(ApprovalError) as refusal:
                    await answer(approval, by)
                assert refusal.value.code is Code.NOT_YOURS_TO_ANSWER
            for by, one in (
                (ANN, approval[:-1] + ("0" if approval[-1] != "0" else "1")),
                (replace(ANN, tenant="other"), approval),
            ):
                with pytest.raises(NotFound) as missing:
                    await answer(one, by)
                assert missing.value.code is Code.APPROVAL_NOT_FOUND
        assert sandbox.approvals(by=replace(ANN, tenant="other")) == ()
        assert sandbox.approval(approval, by=replace(ANN, tenant="acme")).state is State.PENDING


async def test_an_answer_is_given_once(home: Path) -> None:
    async with hosted(home) as sandbox:
        approval = await pending(sandbox)
        await sandbox.deny_approval(approval, ANN, "not today")
        for answer in (sandbox.approve, sandbox.deny_approval, sandbox.withdraw_approval):
            with pytest.raises(ApprovalError, match="is denied already") as refusal:
                await answer(approval, BOB)
            assert refusal.value.code is Code.NO_LONGER_PENDING
        error = await refused(sandbox)
        assert error.message == f"the approval `{approval}` was denied by ann: not today"
    (said,) = recorded(home, "approval_denied")
    assert (said["subject"], said["detail"]["note"]) == ("ann", "not today")


async def test_who_asked_may_withdraw_and_then_ask_anew(home: Path) -> None:
    async with hosted(home) as sandbox:
        approval = await pending(sandbox)
        with pytest.raises(ApprovalError, match="the scope `admin`"):
            await sandbox.withdraw_approval(approval, Subject("bot"))
        assert (await sandbox.withdraw_approval(approval, Subject("agent"))).state is State.WITHDRAWN
        assert await pending(sandbox) != approval
    assert [one["subject"] for one in recorded(home, "approval_withdrawn")] == ["agent"]


ROLES = """template: permissive
roles: {boss: {permissions: [{resource: "*", actions: ["*"]}]}}
assignments: {ann: [boss]}
rules:
  - name: of-the-boss
    effect: require_approval
    when: {arguments.x: role}
    constraints: {approver_role: boss, approval_timeout: 10m}
  - {name: open, effect: allow}
actions: {echo: {tools: ["every_type__echo-u8"]}}
approvals: {four_eyes: [echo_string]}
"""


async def test_the_approvers_role_two_people_and_the_time_are_held_to(home: Path) -> None:
    text = ROLES.replace("approvals: {four_eyes: [echo_string]}\n", "").replace('{resource: "*"', '{resource: "tools/*"')
    text = text.replace("assignments: {ann: [boss]}", "assignments: {ann: [boss], agent: [boss]}")
    async with hosted(home, text) as sandbox:
        approval = await pending(sandbox, "role")
        limit = sandbox.approval(approval)
        assert limit.expires_at - limit.requested_at == 600
        with pytest.raises(ApprovalError, match="does not have the role `boss`"):
            await sandbox.approve(approval, BOB)
        await sandbox.assign_role("bob", "boss")
        assert (await sandbox.approve(approval, BOB)).state is State.APPROVED
        assert await echo(sandbox, "role") == "role"
        written(home, ROLES.replace("assignments: {ann: [boss]}", "assignments: {ann: [boss], agent: [boss]}"))
        approval = await pending(sandbox, "other")
        assert (await sandbox.approve(approval, ANN)).state is State.PENDING
        with pytest.raises(ApprovalError, match="has said yes already"):
            await sandbox.approve(approval, ANN)
        assert await pending(sandbox, "other") == approval
        assert (await sandbox.approve(approval, BOB)).state is State.APPROVED
        assert await echo(sandbox, "other") == "other"
    assert [one["subject"] for one in recorded(home, "approval_approved")] == ["bob", "ann", "bob"]


async def test_past_its_time_it_expires_and_what_was_approved_gives_nothing(home: Path) -> None:
    async with hosted(home) as sandbox:
        first, second = await pending(sandbox, "a"), await pending(sandbox, "b")
        await sandbox.approve(second, ANN)
        later = sandbox._clock() + 3601
        sandbox._approvals.clock = lambda: later
        assert sandbox.approval(first).state is State.EXPIRED
        with pytest.raises(ApprovalError, match="is expired already"):
            await sandbox.approve(first, ANN)
        assert await pending(sandbox, "b") != second
    assert [one["detail"]["approval"] for one in recorded(home, "approval_expired")] == [first]


async def test_what_changed_since_the_yes_makes_it_void(home: Path, tmp_path: Path) -> None:
    """ADM-09: decided anew when it runs."""
    more = f"{ASK}\nrules: [{{name: never, effect: deny, when: {{arguments.x: z}}}}]"
    async with hosted(home) as sandbox:
        by_policy = await pending(sandbox)
        await sandbox.approve(by_policy, ANN)
        await sandbox.update_component_policy(
            "every_type", policy(tmp_path, "{environment: {allow: [{key: A, value: b}]}}", "more.yaml")
        )
        by_document = await pending(sandbox)
        await sandbox.approve(by_document, ANN)
        written(home, more)
        by_digest = await pending(sandbox)
        assert len({by_policy, by_document, by_digest}) == 3, "another policy, another document"
        await sandbox.approve(by_digest, ANN)
        written(home, f"{ASK}\nrules: [{{name: never, effect: deny}}]")
        assert (await refused(sandbox)).rules == ("never",)
        written(home, more)
        assert await echo(sandbox) == "a", "what was approved holds where all is as it was"


async def test_a_role_that_was_taken_since_the_yes_makes_it_void(home: Path) -> None:
    """ADM-09."""
    text = 'roles: {caller: {permissions: [{resource: "tools/*", actions: [invoke]}]}}\napprovals: {require: ["every_type__*"]}'
    async with hosted(home, text) as sandbox:
        await sandbox.assign_role("agent", "caller")
        approval = await pending(sandbox)
        await sandbox.approve(approval, ANN)
        await sandbox.remove_role("agent", "caller")
        assert (await refused(sandbox)).rules == ("roles",)
        assert sandbox.approval(approval).state is State.APPROVED


async def test_another_component_has_not_what_was_approved_for_this_one(home: Path) -> None:
    async with hosted(home, "template: permissive\napprovals: {require: ['x__*']}") as sandbox:
        await sandbox.load(guest("every_type"), name="x")
        with pytest.raises(ApprovalPending) as first:
            await sandbox.call("x__echo-string", {"x": "a"}, subject="agent")
        await sandbox.approve(first.value.approval, ANN)
        bound = sandbox.approval(first.value.approval).bound
        assert (bound.component, bound.digest) == ("x", sandbox._components.component("x").digest)
        request, decision = await decided(sandbox, "x__echo-string")
        assert sandbox._approvals.standing(request, decision) is not None
        assert sandbox._approvals.standing(replace(request, digest="e" * 64), decision) is None


async def decided(sandbox: Sandbox, tool: str) -> Any:
    found = sandbox._components.find(tool)
    request = sandbox._dispatch._request(Call(tool, {"x": "a"}, Subject.local("agent"), None, "c"), found)
    return request, sandbox._dispatch.authorizer.evaluate(request)


async def test_a_call_waits_for_its_answer_and_its_request_outlives_it(home: Path) -> None:
    async with hosted(home, approvals=ApprovalKeys(wait="30s")) as sandbox:
        calling = asyncio.create_task(echo(sandbox))
        await until(lambda: sandbox.approvals(status="pending"))
        (waiting,) = sandbox.approvals()
        await sandbox.approve(waiting.id, ANN)
        assert await calling == "a"
        calling = asyncio.create_task(echo(sandbox, "b"))
        await until(lambda: sandbox.approvals(status="pending"))
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        (left,) = sandbox.approvals(status="pending")
    async with hosted(home) as restarted:
        assert restarted.approval_arguments(restarted.approval(left.id)) == '{"x":"b"}'
        assert await pending(restarted, "b") == left.id
        await restarted.approve(left.id, ANN)
        assert await echo(restarted, "b") == "b"


def somebody(answer: Answer | None, asked: list[str], who: str = "mcp:agent") -> Person:
    async def ask(question: Asked) -> Answer:
        asked.append(question.text)
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        assert question.choices == (Answer.ONCE, Answer.NO)
        return answer

    return Person(ask, who)


async def test_the_person_at_the_client_is_shown_everything_and_asked_once(home: Path) -> None:
    asked: list[str] = []
    async with hosted(home) as sandbox:
        nasty = "\x1b[2J\u202e" + "y" * 4000 + "\x7f"
        assert await echo(sandbox, nasty, person=somebody(Answer.ONCE, asked)) == nasty
        (text,) = asked
        spelled = json.dumps({"x": nasty}, separators=(",", ":"))
        assert f"({len(spelled)} bytes):\n  {spelled.replace(chr(127), '')[:-2]}" in text
        assert text.count("\\u007f") == 1
        assert text.isascii()
        error = await refused(sandbox, "b", person=somebody(Answer.NO, asked))
        assert "was denied by mcp:agent" in error.message
        assert "was denied" in (await refused(sandbox, "b", person=somebody(Answer.ONCE, asked))).message
        assert len(asked) == 2, "a no is not asked again"
        unanswered = await pending(sandbox, "c", person=somebody(Answer.NOTHING, asked))
        assert sandbox.approval(unanswered).state is State.PENDING, "no answer is a no to the call, and somebody else may answer"
    assert [one["detail"].get("by_way_of") for one in recorded(home, "approval_approved", "approval_denied")] == ["client"] * 2


async def test_where_a_role_or_a_second_person_is_needed_the_client_is_not_asked(home: Path) -> None:
    """ADM-07: the client's own yes does not suffice."""
    asked: list[str] = []
    async with hosted(home, "template: permissive\napprovals: {four_eyes: [invoke]}") as sandbox:
        with pytest.raises(ApprovalPending, match="the person at this client cannot give that alone"):
            await echo(sandbox, person=somebody(Answer.ONCE, asked))
        assert asked == []


async def test_somebody_else_may_answer_while_the_client_is_asked(home: Path) -> None:
    asked: list[str] = []
    async with hosted(home) as sandbox:
        calling = asyncio.create_task(echo(sandbox, person=somebody(None, asked)))
        await until(lambda: asked)
        (waiting,) = sandbox.approvals(status="pending")
        await sandbox.approve(waiting.id, ANN)
        assert await calling == "a"


async def test_what_is_too_long_to_be_read_is_not_asked_about(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approving, "MAX_ARGUMENTS", 100)
    async with hosted(home) as sandbox:
        assert "cannot be asked about 101 bytes" in (await refused(sandbox, "y" * 93)).message
        await pending(sandbox, "y" * 92)


async def test_ten_thousand_requests_leave_no_more_than_are_bounded(home: Path) -> None:
    """ADM-09: the queue has an end, and other subjects their own."""
    async with hosted(home) as sandbox:
        ended = await asyncio.gather(*(echo(sandbox, f"x{number}") for number in range(40)), return_exceptions=True)
        assert sum(isinstance(one, ApprovalPending) for one in ended) == 16
        assert all("no more are kept" in one.message for one in ended if not isinstance(one, ApprovalPending))  # type: ignore[union-attr]
        await pending(sandbox, subject="another")
        assert len(sandbox.approvals(status="pending")) == 17


async def test_without_a_record_nothing_is_approved_or_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosted(home) as sandbox:
        approval = await pending(sandbox)

        def broken(*_: object, **__: object) -> None:
            raise SandboxError("no record")

        with monkeypatch.context() as patched:
            patched.setattr(type(sandbox._log), "append", broken)
            with pytest.raises(SandboxError, match="no record"):
                await sandbox.approve(approval, ANN)
        assert sandbox.approval(approval).state is State.PENDING


async def test_what_could_not_run_after_a_yes_is_not_asked_for(home: Path) -> None:
    text = "template: permissive\nrules: [{name: ask, effect: require_approval, constraints: {obligations: [page-the-boss]}}]"
    async with hosted(home, text) as sandbox:
        assert "nobody here sees to `page-the-boss`" in (await refused(sandbox)).message
        assert sandbox.approvals() == ()


async def test_a_content_rule_that_asks_about_arguments_is_answered_like_any_other(home: Path) -> None:
    text = "template: permissive\ncontent: [{pattern: canary, where: [arguments], action: require_approval}]"
    async with hosted(home, text) as sandbox:
        assert await echo(sandbox, "fine") == "fine"
        await sandbox.approve(await pending(sandbox, "a canary"), ANN)
        assert await echo(sandbox, "a canary") == "a canary"
    for record in recorded(home):
        assert "canary" not in str(record.get("arguments")) or record["event"] == "tool_invoke"


async def test_sigstop_before_a_worker_parks_the_call_as_pending(home: Path) -> None:
    text = (
        f"template: permissive\nrules: [{{name: look, effect: require_approval, when: {{tool: {ECHO}}}, on_violation: SIGSTOP}}]"
    )
    async with hosted(home, text) as sandbox:
        await sandbox.approve(await pending(sandbox), ANN)
        assert await echo(sandbox) == "a"
    assert len(recorded(home, "signal_stop")) == 1


async def test_a_replay_counts_what_was_approved_as_asked_for(home: Path) -> None:
    async with hosted(home) as sandbox:
        await sandbox.approve(await pending(sandbox), ANN)
        await echo(sandbox)
    found = replay(records(home / "audit"), load_admission_file(home.with_name("admission.yaml")), handles=HANDLED)
    assert (found.decisions, found.changed) == (2, [])
