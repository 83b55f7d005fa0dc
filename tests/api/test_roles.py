"""Roles that are given while servers run: they hold from the next call on, in every process, and not a call longer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import GrantError, NotAdmitted, NotFound, Sandbox
from sandbox.admission import Subject
from sandbox.admission.document.load import load_admission
from tests.api.conftest import recorded
from tests.support.guests import guest

pytestmark = pytest.mark.asyncio(loop_scope="package")
DOCUMENT = load_admission(
    """version: "1.0"
roles:
  caller: {permissions: [{resource: "tools/traps__*", actions: [invoke]}]}
  boss: {inherits: [caller]}
assignments: {ben: [caller]}
""",
    file="admission.yaml",
)
ANN = Subject("ann", scopes=("tools:invoke",))


@pytest_asyncio.fixture(loop_scope="package")
async def ruled(home: Path) -> AsyncIterator[Sandbox]:
    """A host under the document."""
    async with Sandbox(home, admission=DOCUMENT) as sandbox:
        await sandbox.load(guest("traps"))
        yield sandbox


async def test_what_gives_nothing_is_refused(ruled: Sandbox, home: Path) -> None:
    """A role that the document does not have, a subject that is none, a host without roles."""
    with pytest.raises(GrantError, match="has no role `bos`") as refused:
        await ruled.assign_role("ann", "bos")
    assert "did you mean `boss`" in str(refused.value)
    for subject in ("", "a\nb", "x" * 300):
        with pytest.raises(GrantError, match="is no subject"):
            await ruled.assign_role(subject, "boss")
    with pytest.raises(NotFound, match="`ben` was not given the role `caller`"):
        await ruled.remove_role("ben", "caller")
    async with Sandbox(home) as other:
        with pytest.raises(GrantError, match="no admission document with `roles` is in force"):
            await other.assign_role("ann", "boss")
    assert not recorded(home, "role_assigned")


async def test_a_role_holds_from_the_next_call_until_it_is_taken_away(ruled: Sandbox, home: Path) -> None:
    """Given and taken by another process; whoever bears another's name in another spelling has none."""

    async def calls(subject: Subject = ANN) -> bool:
        try:
            return (await ruled.call("traps__fine", {"number": 3}, subject=subject)).outcome.ok
        except NotAdmitted:
            return False

    assert not await calls()
    async with Sandbox(home, admission=DOCUMENT) as terminal:
        assert await terminal.assign_role("ann", "boss", who="ben")
        assert await calls()
        assert not await terminal.assign_role("ann", "boss"), "she has it already"
        for other in ("Ann", "ann ", "аnn", "ann\u200b"):
            assert not await calls(Subject(other, scopes=ANN.scopes))
        await terminal.remove_role("ann", "boss", who="ben")
        assert not await calls()
    (given,), (taken,) = recorded(home, "role_assigned"), recorded(home, "role_removed")
    assert (given["subject"], given["detail"]) == ("ben", {"subject": "ann", "role": "boss"})
    assert taken["detail"] == given["detail"]


async def test_a_role_that_was_given_outlives_the_process(ruled: Sandbox, home: Path) -> None:
    await ruled.assign_role("ann", "caller", who="ben")
    async with Sandbox(home, admission=DOCUMENT) as later:
        assert [(one.subject, one.role, one.who) for one in later.roles()] == [("ann", "caller", "ben")]
