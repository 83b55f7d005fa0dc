"""Functions behind admission: what is refused never runs, and what runs is settled and on record."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from sandbox.admission import Authorizer, Subject
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.budgets import whose_of
from sandbox.errors import Code, NotAdmitted, SandboxError
from sandbox.guarding import Account, Guard, guard
from tests.guarding.conftest import Make

Recorded = Callable[[], list[dict[str, Any]]]
ANN = Subject("ann", roles=("reader",))
ONE_A_DAY = "template: permissive\nbudgets: {users: {ann: {max_requests: 1, period: day}}}"
ROLES = 'roles: {reader: {permissions: [{resource: "reports/*", actions: [read]}]}}'


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_what_is_refused_does_not_run(make: Make, recorded: Recorded) -> None:
    """The error says which rule, the record too; nothing is reserved."""
    ran = []

    @guard(make(ROLES), action="delete", resource="reports/{name}", subject=ANN)
    def delete(name: str) -> None:
        ran.append(name)

    with pytest.raises(NotAdmitted) as refused:
        delete("q3")
    assert (refused.value.code, refused.value.rules) == (Code.ACCESS_DENIED, ("roles",))
    assert not ran
    (record,) = recorded()
    assert (record["event"], record["subject"], record["tool"], record["decision"]) == ("access_denied", "ann", "delete", "deny")


@pytest.mark.parametrize("name", ["", "../billing", "q3/../../billing", "*", "a:b", "..", None, 1.5])
def test_an_argument_does_not_lead_to_another_resource(make: Make, name: Any) -> None:
    """ARG-06: what would name another resource, or all, names none."""

    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    def read(name: Any) -> None:
        raise AssertionError("it ran")

    with pytest.raises(NotAdmitted, match="`name` names no part of the resource"):
        read(name)


def test_nobody_asks_where_nobody_says_who(make: Make) -> None:
    """A subject without roles or scopes: the template decides, and a role does not."""

    @guard(make(ROLES), action="read", resource="reports/{name}")
    def read(name: str) -> str:
        return name

    with pytest.raises(NotAdmitted, match="roles of the subject: none"):
        read("q3")


def test_what_is_allowed_runs_once_and_is_on_record(make: Make, recorded: Recorded) -> None:
    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    def read(name: str, *, lines: int = 3) -> str:
        """Read a report."""
        return name * lines

    assert read("q", lines=2) == "qq"
    assert (read.__name__, read.__doc__) == ("read", "Read a report.")
    began, ended = recorded()
    assert (began["event"], began["arguments"], began["rules"]) == ("tool_invoke", {"lines": 2, "name": "q"}, ["role:reader"])
    assert (ended["event"], ended["audit_id"]) == ("tool_success", began["audit_id"])


async def test_a_coroutine_function_stays_one(make: Make, recorded: Recorded) -> None:
    """What it raises is its caller's, and on record by its type alone."""

    @guard(make(ROLES), action="read", resource="reports/{name}", subject=ANN)
    async def read(name: str) -> str:
        await asyncio.sleep(0)
        raise ValueError("a secret")

    assert inspect.iscoroutinefunction(read)
    with pytest.raises(ValueError, match="a secret"):
        await read("q3")
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_failure"]
    assert recorded()[1]["reason"] == "ValueError"


def test_an_argument_that_is_no_json_is_not_there_for_conditions(make: Make) -> None:
    """A rule that denies by it denies; one that allows by it does not."""
    text = "rules: [{name: own, effect: allow, when: {arguments.owner: ann}}]"

    @guard(make(text), subject=ANN)
    def take(owner: Any) -> str:
        return "taken"

    assert take("ann") == "taken"
    with pytest.raises(NotAdmitted):
        take(object())


@pytest.mark.parametrize("value", [math.nan, 1e999, {"text": ["rm -rf /", -math.inf]}, nested(20_000), [10**5_000]])
def test_what_json_cannot_carry_is_refused_and_on_record(make: Make, recorded: Recorded, value: Any) -> None:
    """A content rule would not have seen what stands beside it."""

    @guard(make("template: permissive"), subject=ANN)
    def take(given: Any) -> None:
        raise AssertionError("it ran")

    with pytest.raises(NotAdmitted) as refused:
        take(value)
    assert (refused.value.code, refused.value.rules) == (Code.INVALID_ARGUMENTS, ("arguments-are-json",))
    assert [(record["event"], record["rules"]) for record in recorded()] == [("access_denied", ["arguments-are-json"])]


@pytest.mark.parametrize("value", [b"rm -rf /", {"rm -rf /"}, [b"rm -rf /"], object(), {("rm -rf /",): 1}])
def test_where_content_rules_look_nothing_is_left_out(make: Make, value: Any) -> None:
    """What they cannot look through does not pass; without such rules it does, and no condition sees it."""
    content = "template: permissive\ncontent: [{use: destructive-commands, action: block}]"

    class Shell:
        @guard(make(content), subject=ANN)
        def run(self, command: Any) -> str:
            return f"ran {command}"

        @guard(make("template: permissive"), subject=ANN)
        def take(self, given: Any) -> Any:
            return given

    with pytest.raises(NotAdmitted, match="`command` cannot be looked through") as refused:
        Shell().run(value)
    assert refused.value.rules == ("content",)
    assert Shell().run("ls") == "ran ls"
    assert Shell().take(value) is value


def test_a_function_that_changes_its_arguments_changes_nothing_that_was_decided_about(make: Make, recorded: Recorded) -> None:
    @guard(make("template: permissive"), subject=ANN)
    def spoil(given: dict[str, int], account: Account) -> object:
        given.clear()
        return account.request.arguments

    assert spoil({"a": 1}) == {"given": {"a": 1}}  # type: ignore[call-arg] # the guard gives the account
    assert recorded()[0]["arguments"] == {"given": {"a": 1}}


def test_a_budget_is_reserved_and_what_is_spent_is_settled(make: Make) -> None:
    """What passes it while it runs ends it; the next call is refused before it begins."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, period: day}}}")

    @guard(made, subject=ANN)
    def think(micros: int, account: Account) -> str:
        account.spend(cost_micros=micros)
        return "thought"

    assert think(400_000) == "thought"  # type: ignore[call-arg] # the guard gives the account
    with pytest.raises(NotAdmitted) as over:
        think(700_000)  # type: ignore[call-arg] # the same
    assert over.value.code is Code.BUDGET_EXCEEDED
    with pytest.raises(NotAdmitted) as refused:
        think(0)  # type: ignore[call-arg] # the same
    assert refused.value.code is Code.BUDGET_EXCEEDED
    assert refused.value.retry_after_s is not None


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_reserved_and_not_used_is_given_back(make: Make, fails: bool) -> None:
    """However it ends: of a budget the smallest unit is taken before, and nothing of it stays."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, max_requests: 9}}}")
    seen = []

    @guard(made, subject=ANN)
    def think(account: Account) -> None:
        seen.append(account.request)
        if fails:
            raise ValueError

    with contextlib.suppress(ValueError):
        think()  # type: ignore[call-arg] # the same
    assert made.budgets is not None
    held = {line.metric.value: taken for line, taken in made.budgets.standing(whose_of(seen[0]), 1_000_000.0)}
    assert held == {"cost_micros": 0, "requests": 1}


@pytest.mark.parametrize("micros", [-1, math.nan, math.inf, 0.5, "1", True, None, 2**64, -(2**64)])
def test_what_is_spent_is_a_whole_number_from_nothing(make: Make, micros: Any) -> None:
    """A negative one would give back, and with NaN no bound is ever passed. With a budget or without one."""
    seen: list[Account] = []

    def think(account: Account) -> None:
        seen.append(account)
        account.spend(cost_micros=400_000)
        account.spend(cost_micros=micros)

    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, period: day}}}")
    for by in (made, Guard(made.authorizer)):
        with pytest.raises(SandboxError, match="`cost_micros` cannot be"):
            guard(by, subject=ANN)(think)()  # type: ignore[call-arg] # the same
    assert made.budgets is not None
    held = made.budgets.standing(whose_of(seen[0].request), 1_000_000.0)
    assert [taken for _, taken in held] == [400_000]


def test_a_rate_says_when_asking_again_helps(make: Make) -> None:
    made = make("template: permissive\nrates: [{action: think, per: user, limit: 2/min}]")

    @guard(made, subject=ANN)
    def think() -> None: ...

    think()
    think()
    with pytest.raises(NotAdmitted) as refused:
        think()
    assert refused.value.code is Code.RATE_LIMIT_EXCEEDED
    assert 0 < (refused.value.retry_after_s or 0) <= 61


def test_a_generator_is_settled_at_its_end_with_what_it_spent(make: Make, recorded: Recorded) -> None:
    """It may charge until then; it is admitted when it is begun, and stays a generator that can be sent to."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, period: day}}}")
    seen = []

    @guard(made, subject=ANN)
    def think(account: Account) -> Generator[int, int, str]:
        seen.append(account.request)
        got = yield 1
        account.spend(cost_micros=400_000)
        yield got
        return "thought"

    assert inspect.isgeneratorfunction(think)
    thinking = think()  # type: ignore[call-arg] # the guard gives the account
    assert recorded() == []
    assert (next(thinking), thinking.send(7)) == (1, 7)
    assert [record["event"] for record in recorded()] == ["tool_invoke"]
    with pytest.raises(StopIteration, match="thought"):
        next(thinking)
    assert recorded()[-1]["event"] == "tool_success"
    assert made.budgets is not None
    held = {line.metric.value: taken for line, taken in made.budgets.standing(whose_of(seen[0]), 1_000_000.0)}
    assert held["cost_micros"] == 400_000


def test_a_generator_that_passes_its_budget_is_stopped(make: Make, recorded: Recorded) -> None:
    @guard(make("template: permissive\nbudgets: {users: {ann: {max_cost: 1, period: day}}}"), subject=ANN)
    def think(account: Account) -> Iterator[int]:
        while True:
            account.spend(cost_micros=600_000)
            yield 1

    thinking = think()  # type: ignore[call-arg] # the same
    assert next(thinking) == 1
    with pytest.raises(NotAdmitted):
        next(thinking)
    assert recorded()[-1]["event"] == "tool_failure"


def test_a_generator_that_nobody_reads_to_its_end_is_settled_too(make: Make, recorded: Recorded) -> None:
    closed = []

    @guard(make(ONE_A_DAY), subject=ANN)
    def count() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    counting = count()
    assert next(counting) == 1
    counting.close()  # type: ignore[attr-defined] # it is a generator
    assert closed
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_success"]
    with pytest.raises(NotAdmitted):
        next(count())


async def test_an_asynchronous_generator_is_settled_at_its_end(make: Make, recorded: Recorded) -> None:
    """Read to the end, given up, or answered with an error, which the function sees."""
    seen: list[Any] = []

    @guard(make("template: permissive"), subject=ANN)
    async def count() -> AsyncIterator[int]:
        try:
            got = yield 1
            seen.append(got)
            yield 2
        except ValueError:
            yield 3
        finally:
            seen.append("over")

    assert inspect.isasyncgenfunction(count)
    assert [number async for number in count()] == [1, 2]
    assert seen == [None, "over"]
    given_up: Any = count()
    assert await anext(given_up) == 1
    assert await given_up.asend("word") == 2
    await given_up.aclose()
    assert seen == [None, "over", "word", "over"]
    thrown: Any = count()
    await anext(thrown)
    assert await thrown.athrow(ValueError()) == 3
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_success"] * 2 + ["tool_invoke"]
    await thrown.aclose()
    assert recorded()[-1]["event"] == "tool_success"


async def test_a_plain_function_that_gives_what_has_still_to_run_is_refused(make: Make, recorded: Recorded) -> None:
    """It would be settled before it ran: nothing of it runs."""
    ran = []

    async def later() -> None:
        ran.append("coroutine")

    def numbers() -> Iterator[None]:
        ran.append("generator")
        yield

    async def more() -> AsyncIterator[None]:
        ran.append("asynchronous generator")
        yield

    for give in (later, numbers, more, lambda: asyncio.ensure_future(later())):
        with pytest.raises(TypeError, match=r"`hand_out` is guarded and gave a .*: write it as `async def`"):
            guard(make("template: permissive"), subject=ANN)(hand_out(give))()
    await asyncio.sleep(0)
    assert ran == []
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_failure"] * 4
    assert isinstance(guard(make("template: permissive"), subject=ANN)(hand_out(Future[None]))(), Future)


def hand_out(give: Callable[[], Any]) -> Callable[[], Any]:
    """A plain function."""

    def hand_out() -> Any:
        return give()

    return hand_out


async def test_an_object_that_is_called_like_a_coroutine_function_is_one(make: Make, recorded: Recorded) -> None:
    class Later:
        async def __call__(self) -> str:
            await asyncio.sleep(0)
            assert len(recorded()) == 1
            return "done"

    assert await guard(make("template: permissive"), action="act", subject=ANN)(Later())() == "done"
    assert [record["event"] for record in recorded()] == ["tool_invoke", "tool_success"]


def test_without_a_record_nothing_runs(make: Make) -> None:
    """What was reserved for it is given back."""
    made = make("template: permissive\nbudgets: {users: {ann: {max_requests: 1, max_cost: 1}}}")
    assert made.log is not None
    made.log.close()

    @guard(made, subject=ANN)
    def think() -> None:
        raise AssertionError("it ran")

    with pytest.raises(Exception, match="the record is closed"):
        think()


def test_an_obligation_that_nobody_meets_is_a_refusal(make: Make) -> None:
    """Named to the authorizer, it is the caller's to meet."""
    text = "rules: [{name: r, effect: allow, constraints: {obligations: [tell-the-boss]}}]"

    @guard(make(text), subject=ANN)
    def act() -> str:
        return "done"

    @guard(make(text, handles=["tell-the-boss"]), subject=ANN)
    def act_and_tell() -> str:
        return "done"

    with pytest.raises(NotAdmitted, match="tell-the-boss"):
        act()
    assert act_and_tell() == "done"


def test_an_authorizer_alone_is_enough() -> None:
    """Without budgets and without a record."""
    document = load_admission('version: "1.0"\nrules: [{name: a, effect: allow, when: {action: read}}]\n', file="a.yaml")

    @guard(Authorizer(document), subject=lambda arguments: Subject(arguments["who"]))
    def read(who: str) -> str:
        return who

    assert read("ann") == "ann"
    assert Guard(Authorizer(document)).log is None
