"""A person is asked while a call waits in its gate: what a yes is worth, what is a no, and who may not be bothered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.changes import asking
from sandbox.changes.asking import Answer, Person, Question
from sandbox.components import Running
from sandbox.errors import Code
from sandbox.host.outcome import Denial, Ending
from sandbox.policy.load import load_policy
from sandbox.result import CallResult
from tests.api.conftest import recorded
from tests.support.components import files_component
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")

READS = "escape_traversal"


class Somebody:
    """A person who answers as told, and remembers what they were asked."""

    def __init__(self, *answers: Answer, most: Any = "session") -> None:
        self.asked: list[Question] = []
        self.answers = list(answers)
        self.person = Person(self._ask, "somebody", most)

    async def _ask(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.answers.pop(0)


class Thinking:
    """A person who has not answered yet."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.person = Person(self._ask, "somebody")

    async def _ask(self, _question: Question) -> Answer:
        self.asked.set()
        return await asyncio.shield(self.answer)


def document(folder: Path, more: str = "", limits: str = "") -> Any:
    """Everything in a folder is asked about, reading and writing."""
    text = f"""version: "2.0"
permissions:
  storage:
    ask:
      - {{uri: "fs://{folder}/**", access: [read, write, create, delete], mount: /w}}
    {more}
  resources: {{limits: {{{limits}}}}}
"""
    return load_policy(text, file="policy.yaml")


@pytest_asyncio.fixture(loop_scope="package")
async def tool(sandbox: Sandbox, folder: Path) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Reads a file of the folder; what became of it in a word."""
    await sandbox.load(guest(READS), policy=document(folder))

    async def read(name: str = "a.txt", **how: Any) -> str:
        result = await called(sandbox, name, **how)
        assert result.outcome.ok, result.outcome
        return str(result.outcome.value[0]["outcome"])

    yield read


async def called(sandbox: Sandbox, *names: str, **how: Any) -> CallResult:
    return await sandbox.call(f"{READS}__open-each", {"mount": "/w", "paths": list(names)}, **how)


async def test_without_anybody_to_ask_it_is_an_ordinary_denial(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component(), policy=document(folder))
    result = await sandbox.call("files__read", {"path": "/w/a.txt"})
    assert result.body is not None
    assert result.body["message"] == "read of `/w/a.txt` is not allowed: nobody could be asked"
    assert result.body["command"] == f"sandbox permission grant files --from-denial {result.body['denial_id']}"
    await sandbox.grant_from_denial(result.body["denial_id"])
    again = await sandbox.call("files__read", {"path": "/w/a.txt"})
    assert again.outcome.ok, "the command permits it: a grant answers an ask before it is asked"


async def test_a_no_is_a_denial_and_not_asked_again_in_the_session(tool: Any) -> None:
    somebody = Somebody(Answer.NO, Answer.NO)
    for _ in range(2):
        assert await tool(person=somebody.person, session="s1") == "not-permitted"
    assert len(somebody.asked) == 1
    assert await tool(person=somebody.person, session="s2") == "not-permitted"
    assert len(somebody.asked) == 2, "another session is another person"


async def test_once_is_one_call_and_over_with_it(sandbox: Sandbox, home: Path, tool: Any) -> None:
    somebody = Somebody(Answer.ONCE, Answer.NO)
    assert await tool(person=somebody.person, session="s1") == "read: alpha"
    assert sandbox.grants() == ()
    assert await tool(person=somebody.person, session="s1") == "not-permitted"
    granted, ended = recorded(home, "permission_granted", "permission_revoked")
    assert granted["detail"]["grant"]["lifetime"] == "once"
    assert ended["grants"] == granted["grants"]
    assert ended["reason"] == asking.OVER


async def test_for_the_session_is_every_call_of_it_and_no_other(sandbox: Sandbox, folder: Path, tool: Any) -> None:
    somebody = Somebody(Answer.SESSION, Answer.NO, Answer.NO)
    for _ in range(2):
        assert await tool(person=somebody.person, session="s1") == "read: alpha"
    assert len(somebody.asked) == 1
    (grant,) = sandbox.grants()
    assert (grant.session, grant.lifetime, grant.who) == ("s1", "session", "somebody")
    assert grant.entry == {"uri": f"fs://{folder}/a.txt", "access": ["read"], "mount": "/w/a.txt"}, "exactly what was asked"
    (folder / "b.txt").write_text("beta")
    assert await tool("b.txt", person=somebody.person, session="s1") == "not-permitted"
    assert await tool(person=somebody.person, session="s2") == "not-permitted"
    await sandbox.end_session("s1")
    assert sandbox.grants() == ()


async def test_until_revoked_is_what_only_some_may_say(sandbox: Sandbox, tool: Any) -> None:
    in_client = Somebody(Answer.UNTIL_REVOKED)
    assert await tool(person=in_client.person, session="s1") == "not-permitted", "an answer that was not offered is a no"
    assert in_client.asked[0].choices == (Answer.ONCE, Answer.SESSION, Answer.NO)
    at_terminal = Somebody(Answer.UNTIL_REVOKED, most="lasting")
    assert await tool(person=at_terminal.person) == "read: alpha"
    assert at_terminal.asked[0].choices == (Answer.ONCE, Answer.UNTIL_REVOKED, Answer.NO), "there is no session"
    assert await tool() == "read: alpha"
    (grant,) = sandbox.grants()
    assert (grant.session, grant.lifetime) == (None, "lasting")


async def test_the_question_shows_the_path_escaped_and_is_on_record(
    sandbox: Sandbox, home: Path, folder: Path, tool: Any
) -> None:
    name = "it's `ödd`.txt"
    (folder / name).write_text("odd")
    assert await tool("\u202ea\n.txt", person=Somebody().person) == "not-permitted", "what no policy names nobody is asked about"
    somebody = Somebody(Answer.NO)
    assert await tool(name, person=somebody.person) == "not-permitted"
    (question,) = somebody.asked
    assert (question.component, question.access, question.origin) == (READS, ("read",), "policy:8:9")
    assert question.path == f"/w/{name}"
    assert f"  /w/{name}\n" in question.text
    assert "  /w/\\u202ea\\n\n" in replace(question, path="/w/\u202ea\n").text
    assert str(folder) not in question.text, "the policy does not show it to the guest either"
    asked, answered = recorded(home, "permission_requested", "permission_answered")
    assert asked["detail"] == {"question": question.text, "host_path": f"{folder}/{name}"}
    assert (answered["decision"], answered["reason"]) == ("deny", "a person was asked and did not allow it")
    invoked = recorded(home, "tool_invoke")[-1]
    assert asked["audit_id"] == answered["audit_id"] == invoked["audit_id"]


async def test_waiting_is_no_wall_time(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(guest(READS), policy=document(folder, limits="wall_time: 300ms"))
    thinking = Thinking()
    call = asyncio.create_task(called(sandbox, "a.txt", person=thinking.person))
    await thinking.asked.wait()
    await asyncio.sleep(0.6)
    assert not call.done()
    thinking.answer.set_result(Answer.ONCE)
    result = await call
    assert result.outcome.value[0]["outcome"] == "read: alpha"
    assert result.outcome.usage.wall_ms < 300


async def test_no_answer_in_time_is_a_no(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.05)
    assert await tool(person=Thinking().person) == "not-permitted"


async def test_a_person_that_fails_is_a_no(tool: Any) -> None:
    async def fail(_question: Question) -> Answer:
        raise RuntimeError("the terminal is gone")

    assert await tool(person=Person(fail)) == "not-permitted"


async def test_a_call_that_is_cancelled_takes_its_question_with_it(sandbox: Sandbox, home: Path, tool: Any) -> None:
    thinking = Thinking()
    call = asyncio.create_task(tool(person=thinking.person))
    await thinking.asked.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert sandbox._inquiries.open == []
    (answered,) = recorded(home, "permission_answered")
    assert answered["reason"] == "the call ended before the answer"


async def test_a_policy_that_denies_meanwhile_stops_the_call(sandbox: Sandbox, folder: Path, tool: Any) -> None:
    """The question is open; what it asks about is denied: the call ends, and a late yes gives nothing."""
    thinking = Thinking()
    call = asyncio.create_task(called(sandbox, "a.txt", person=thinking.person))
    await thinking.asked.wait()
    receipt = await sandbox.update_component_policy(READS, document(folder, f'deny: [{{uri: "fs://{folder}/a.txt"}}]'))
    result = await call
    assert result.outcome.ending is Ending.REVOKED
    assert len(receipt.every_stop) == 1
    assert sandbox.grants() == ()


async def test_a_revoke_of_the_answer_stops_the_call_that_got_it(sandbox: Sandbox, folder: Path) -> None:
    """The same for an answer that is given: the running call holds it."""
    await sandbox.load(guest(READS), policy=document(folder))
    (folder / "b.txt").write_text("beta")
    thinking, somebody = Thinking(), Somebody(Answer.SESSION)

    async def ask(question: Question) -> Answer:
        return await (somebody.person if question.path.endswith("a.txt") else thinking.person).ask(question)

    call = asyncio.create_task(called(sandbox, "a.txt", "b.txt", person=Person(ask), session="s1"))
    await thinking.asked.wait()
    (grant,) = sandbox.grants()
    await sandbox.revoke(grant.id)
    assert (await asyncio.wait_for(call, 10)).outcome.ending is Ending.REVOKED


async def test_another_grant_does_not_stop_a_call_that_waits(sandbox: Sandbox, folder: Path, tool: Any) -> None:
    thinking = Thinking()
    call = asyncio.create_task(tool(person=thinking.person))
    await thinking.asked.wait()
    await sandbox.grant_storage_permission(READS, f"fs://{folder}/other", ["read"], mount="/w/other")
    thinking.answer.set_result(Answer.ONCE)
    assert await call == "read: alpha"


async def test_what_is_swapped_for_a_link_is_not_granted(folder: Path, tmp_path: Path, sandbox: Sandbox, tool: Any) -> None:
    """GRT-01: while a person thinks, somebody puts a link in its place; nothing is read, and no later call reads it."""
    (tmp_path / "secret").write_text("SECRET")
    thinking = Thinking()
    call = asyncio.create_task(tool(person=thinking.person, session="s1"))
    await thinking.asked.wait()
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(tmp_path / "secret")
    thinking.answer.set_result(Answer.SESSION)
    assert await call == "not-permitted"
    assert await tool(session="s1") == "not-permitted"
    assert sandbox.grants() == ()


async def waiting_and_refused(sandbox: Sandbox, subjects: list[str]) -> tuple[int, set[str]]:
    """How many of the calls of these subjects wait for an answer, and why the others were refused."""
    persons = [Thinking() for _ in subjects]
    calls = [
        asyncio.create_task(called(sandbox, "a.txt", person=one.person, subject=subject, session=f"s{number}"))
        for number, (one, subject) in enumerate(zip(persons, subjects, strict=True))
    ]
    asked = [asyncio.create_task(one.asked.wait()) for one in persons]
    for call, question in zip(calls, asked, strict=True):
        await asyncio.wait({call, question}, return_when=asyncio.FIRST_COMPLETED)
        question.cancel()
    waiting = [call for call in calls if not call.done()]
    refused = {denial.reason for call in calls if call.done() for denial in call.result().outcome.denials}
    for one in persons:
        one.answer.set_result(Answer.NO)
    await asyncio.gather(*calls)
    assert sandbox._inquiries.open == []
    return len(waiting), refused


@pytest.mark.parametrize(
    ("concurrency", "subjects", "most"),
    [
        (16, ["alice"] * 4, asking.MAX_OF_SUBJECT),
        (3, ["alice", "bob", "carol"], 2),
        (1, ["alice"], 1),
        (16, [f"agent-{number // 2}" for number in range(asking.MAX_OPEN + 2)], asking.MAX_OPEN),
    ],
    ids=["of-one-subject", "of-one-component", "where-there-is-one-turn", "in-all"],
)
async def test_a_flood_of_questions_waits_at_nobody(
    sandbox: Sandbox, folder: Path, concurrency: int, subjects: list[str], most: int
) -> None:
    """Only so many calls are parked, whatever the session; the others are ordinary denials at once."""
    await sandbox.load(guest(READS), policy=document(folder, limits=f"concurrency: {concurrency}"))
    waiting, refused = await waiting_and_refused(sandbox, subjects)
    assert waiting == most
    assert refused == ({"too many questions wait for an answer already"} if most < len(subjects) else set())


async def test_open_questions_of_one_client_lock_nobody_out(sandbox: Sandbox, folder: Path) -> None:
    """Alice lets every question wait that she can have; Bob's call of the same component runs."""
    await sandbox.load(guest(READS), policy=document(folder, limits="concurrency: 2"))
    alice = Thinking()
    calls = [asyncio.create_task(called(sandbox, "a.txt", person=alice.person, subject="alice")) for _ in range(4)]
    await alice.asked.wait()
    result = await asyncio.wait_for(called(sandbox, "a.txt", subject="bob"), 10)
    assert result.outcome.ok
    assert sum(not call.done() for call in calls) == 1
    alice.answer.set_result(Answer.NO)
    await asyncio.gather(*calls)


async def test_a_call_waits_for_so_long_in_all(sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is of the call, not of each question: who does not answer the first is not asked again."""
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
    await sandbox.load(guest(READS), policy=document(folder))
    (folder / "b.txt").write_text("beta")
    asked: list[str] = []

    async def ask(question: Question) -> Answer:
        asked.append(question.path)
        await asyncio.Event().wait()
        return Answer.ONCE

    result = await called(sandbox, "a.txt", "b.txt", person=Person(ask), session="s1")
    assert asked == ["/w/a.txt"]
    assert [denial.reason for denial in result.outcome.denials] == [
        "a person was asked and did not answer in time",
        "its call has waited for answers for as long as it may",
    ]


async def test_a_worker_is_not_believed_about_what_is_asked(sandbox: Sandbox, folder: Path, tool: Any) -> None:
    """A worker that was taken over asks for a path that no rule has anybody asked about: nobody is bothered."""
    somebody = Somebody(Answer.ONCE)
    template = sandbox._components.loaded[READS].effective.template
    for host, access in (
        (str(folder.parent), ["read"]),
        ("/etc/passwd", ["read"]),
        (f"{folder}/a.txt", ["rule"]),
        (f"{folder}/a.txt", []),
    ):
        wanted = Denial(Code.FILESYSTEM_ACCESS_DENIED, {"path": "/w/a.txt"}, "", None, {"host_path": host, "access": access})
        async with sandbox._inquiries.of_call(somebody.person, "local") as ask:
            assert await ask(Running("c", READS, "tool", template), "r", wanted) == "no rule has a person asked about it"
    assert somebody.asked == []
