"""What a grant would change, shown before it is made; and taking away without giving."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from sandbox import GrantError, NotFound, Sandbox
from sandbox.changes.granting import About
from sandbox.changes.proposals import Proposal
from sandbox.policy.grants import GrantKind, make_entry
from tests.api.conftest import policy, reads, recorded
from tests.support.components import files_component

pytestmark = pytest.mark.asyncio(loop_scope="package")

SESSION = About("ann", lifetime="session", session="s")


def proposed(sandbox: Sandbox, kind: GrantKind, effect: Literal["allow", "deny"] = "allow", **entry: Any) -> Proposal:
    return sandbox.propose("files", kind, make_entry(kind, entry, effect), about=SESSION, effect=effect)


async def test_what_cannot_hold_is_not_proposed(sandbox: Sandbox, home: Path) -> None:
    with pytest.raises(NotFound):
        proposed(sandbox, "storage", uri="fs:///srv/x", access=["read"])
    await sandbox.load(files_component())
    with pytest.raises(GrantError):
        proposed(sandbox, "storage", uri=f"fs://{home}/state/**", access=["read"])
    assert sandbox.grants() == ()


async def test_a_proposal_shows_the_lines_that_come(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    proposal = proposed(sandbox, "storage", uri=f"fs://{folder}/a.txt", access=["read"])
    assert proposal.change.to_json() == {"gives": [f"allow read on {folder}/a.txt"], "takes": [], "wider_than": []}
    assert sandbox.grants() == (), "proposed is not granted"
    grant = await sandbox.grant_proposed(proposal)
    assert (grant.entry, grant.session, grant.who) == (proposal.entry, "s", "ann")


async def test_a_limit_is_shown_as_it_was_and_as_it_would_be(sandbox: Sandbox) -> None:
    await sandbox.load(files_component())
    change = proposed(sandbox, "resource", memory="512Mi").change
    assert (change.gives, change.takes) == (("memory 512Mi",), ("memory 256Mi",))


async def test_what_a_wider_grant_covers_is_named_with_its_line(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder, mount=None)))
    (wider,) = proposed(sandbox, "storage", uri=f"fs://{tmp_path}/srv/**", access=["read", "write"]).change.wider_than
    assert wider.line == f"allow read on {folder}/**"
    assert wider.origin.startswith("policy.yaml:2:")
    one = await sandbox.grant_network_permission("files", "a.example.com", methods=["GET"])
    change = proposed(sandbox, "network", host="*.example.com").change
    assert {each.origin for each in change.wider_than} == {f"grant {one.id}"}
    assert proposed(sandbox, "network", host="b.example.com").change.wider_than == ()


async def test_an_answer_to_another_question_grants_nothing(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder, mount=None)))
    proposal = proposed(sandbox, "storage", uri=f"fs://{folder}/**", access=["read", "write"])
    await sandbox.update_component_policy("files", policy(tmp_path, "{}", "other.yaml"))
    with pytest.raises(GrantError, match="changed since"):
        await sandbox.grant_proposed(proposal)
    assert sandbox.grants() == ()


async def test_who_may_only_take_away_ends_no_deny_and_no_lower_limit(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    await sandbox.load(files_component(), policy=policy(tmp_path, reads(folder, mount=None)))
    deny = await sandbox.grant_storage_permission("files", f"fs://{folder}/a.txt", ["read"], effect="deny")
    lower = await sandbox.grant_resource_permission("files", memory="1Mi")
    higher = await sandbox.grant_resource_permission("files", wall_time="60s")
    allow = await sandbox.grant_environment_permission("files", "MODE", value="x")
    taken = await sandbox.take_back(sandbox.grants("files"))
    assert {one.id for one, _ in taken.ended} == {higher.id, allow.id}
    assert taken.kept == (deny, lower)
    assert sandbox.grants() == (deny, lower)


async def test_an_attempt_is_on_record_with_its_question_its_answer_and_no_secret(sandbox: Sandbox, home: Path) -> None:
    asked = {"component_id": "files", "key": "API_KEY", "value": "hunter2-hunter2"}
    attempt = sandbox.attempt("grant_environment_permission", asked, subject="ann", session="s")
    attempt.asked("may `files` have API_KEY=hunter2-hunter2?")
    attempt.answered("decline", allowed=False)
    attempt.failed(GrantError.code, "nobody granted it")
    told = [one for one in recorded(home) if one["audit_id"] == attempt.id]
    assert [one["event"] for one in told] == ["tool_invoke", "permission_requested", "permission_answered", "tool_failure"]
    assert {(one["tool"], one["component"], one["subject"], one["session"]) for one in told} == {
        ("grant_environment_permission", "files", "ann", "s")
    }
    assert (told[2]["decision"], told[2]["reason"]) == ("deny", "decline")
    assert "may `files` have" in told[1]["detail"]["question"]
    assert "hunter2" not in "".join(path.read_text() for path in (home / "audit").glob("*.jsonl"))
