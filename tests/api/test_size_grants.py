"""A size that a policy's line bounds: who runs into it is told the grant with more room, and may be given it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import CallResult, GrantError, Sandbox
from sandbox.changes.asking import Answer, Person, Question
from tests.api.conftest import policy
from tests.support.components import files_component

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def write(sandbox: Sandbox, path: str, size: int) -> CallResult:
    return await sandbox.call("files__write", {"path": path, "text": "x" * size})


@pytest.mark.parametrize(
    ("uri", "guest"),
    [("fs://{folder}/**", "/data/{name}"), ("fs://{folder}/*.txt", "/data/{name}"), ("fs://notes/**", "/notes/{name}")],
)
async def test_a_size_that_is_reached_suggests_the_same_line_with_more_room(
    sandbox: Sandbox, folder: Path, tmp_path: Path, uri: str, guest: str
) -> None:
    more = ("" if "notes" in uri else "mount: /data, ") + "max_file_size: 1Mi, max_total_size: 32Ki"
    line = f"{{uri: '{uri.format(folder=folder)}', access: [read, write, create], {more}}}"
    await sandbox.load(files_component(), policy=policy(tmp_path, f"{{storage: {{allow: [{line}]}}}}"))
    assert (await write(sandbox, guest.format(name="one.txt"), 20_000)).outcome.ok
    body = (await write(sandbox, guest.format(name="two.txt"), 20_000)).body
    assert body is not None
    assert body["missing"] == {"kind": "storage", "max_total_size": "64Ki"}
    assert str(folder) not in str(body), "the host's path is the operator's"
    made = await sandbox.grant_from_denial(body["denial_id"])
    assert (made.entry["max_total_size"], made.entry["max_file_size"]) == ("64Ki", "1Mi")
    assert (await write(sandbox, guest.format(name="two.txt"), 20_000)).outcome.ok
    assert not (await write(sandbox, guest.format(name="three.txt"), 40_000)).outcome.ok, "it has twice the room, and no more"


@pytest.mark.parametrize("wider", [False, True])
async def test_a_yes_to_a_question_lifts_no_size(sandbox: Sandbox, folder: Path, tmp_path: Path, wider: bool) -> None:
    """Whoever may write there now writes no longer a file than a line allows: of several lines the largest holds, as before."""
    (folder / "asked").mkdir()
    (folder / "asked/a.txt").write_text("alpha")
    given = "access: [read, write, create], max_total_size: 64Ki"
    allow = f"{{uri: 'fs://{folder}/**', mount: /data, max_file_size: 4Ki, {given}}}"
    more = f", {{uri: 'fs://{folder}/asked/**', mount: /data/asked, max_file_size: 8Ki, {given}}}" if wider else ""
    ask = f"{{uri: 'fs://{folder}/asked/**', mount: /data/asked, access: [write]}}"
    await sandbox.load(files_component(), policy=policy(tmp_path, f"{{storage: {{allow: [{allow}{more}], ask: [{ask}]}}}}"))

    async def yes(_: Question) -> Answer:
        return Answer.SESSION

    async def write_in_session(size: int, person: Person | None = None) -> CallResult:
        arguments = {"path": "/data/asked/a.txt", "text": "x" * size}
        return await sandbox.call("files__write", arguments, session="s", person=person)

    most = 8192 if wider else 4096
    assert (await write_in_session(1, Person(yes, "somebody"))).outcome.ok
    (grant,) = sandbox.grants()
    assert (grant.entry["max_file_size"], grant.entry["max_total_size"]) == (f"{most // 1024}Ki", "64Ki")
    assert (await write_in_session(most)).outcome.ok
    refused = (await write_in_session(most + 1)).body
    assert refused is not None
    assert refused["missing"] == {"kind": "storage", "max_file_size": f"{most // 512}Ki"}


async def test_a_grant_may_bound_what_it_gives(sandbox: Sandbox, folder: Path) -> None:
    await sandbox.load(files_component())
    with pytest.raises(GrantError, match="a size is bounded where nothing can grow"):
        await sandbox.grant_storage_permission("files", f"fs://{folder}/**", ["read"], max_file_size="4Ki")
    access = ["read", "write", "create"]
    await sandbox.grant_storage_permission("files", f"fs://{folder}/**", access, mount="/data", max_file_size="4Ki")
    assert (await write(sandbox, "/data/b.txt", 4096)).outcome.ok
    body = (await write(sandbox, "/data/b.txt", 4097)).body
    assert body is not None
    assert body["missing"] == {"kind": "storage", "max_file_size": "8Ki"}
