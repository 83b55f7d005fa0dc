"""POL: documents that somebody prepared, given to a host that serves, and files that somebody else may change.

Each attempt is made on a running host: the policy in force stays, the record has the attempt and nothing of the document, another
component does not notice.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.errors import PolicyError, SandboxError
from sandbox.in_force.accepted import Written
from sandbox.policy.load import load_policy, load_policy_file
from tests.attacks.stage import CANARY, NOTHING, Stage, attempts, policy, staged, value

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = 'version: "2.0"\n'
WIDE = '{network: {allow: [{host: "*"}]}}'
LEVELS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))
TRAPS: dict[str, str | bytes] = {
    # POL-01
    "alias tree": f"{HEAD}l0: &l0 [x]\n{LEVELS}\npermissions: *l9\n",
    "self reference": HEAD + "permissions: &a [*a]\n",
    "the document itself": "&a [*a]\n",
    "merge key": f"{HEAD}permissions:\n  <<: {WIDE}\n",
    "merge key, quoted": f'{HEAD}permissions:\n  "<<": {WIDE}\n',
    "anchor of a key": f"{HEAD}&a permissions: {WIDE}\n",
    # POL-02
    "the same key twice": HEAD + "permissions:\n  network: {}\n  network: {allow: [{host: '*'}]}\n",
    "the same key twice, quoted": f'{HEAD}permissions: {{}}\n"permissions": {WIDE}\n',
    "the same key twice, escaped": f'{HEAD}permissions: {{}}\n"p\\x65rmissions": {WIDE}\n',
    "version twice": f'version: "1.0"\nversion: "2.0"\npermissions: {WIDE}\n',
    "the same key twice in an entry": HEAD + "permissions: {network: {allow: [{host: a.test, host: '*'}]}}\n",
    # POL-03
    "a near miss": HEAD + "permissions:\n  netwrok: {deny: [{host: '*'}]}\n",
    "another case": HEAD + "permissions:\n  storage:\n    Allow: []\n",
    "a section a level too high": f"{HEAD}network: {{deny: [{{host: '*'}}]}}\n",
    "a letter that looks alike": HEAD + "permissions: {network: {\u0430llow: [{host: '*'}]}}\n",
    "a key of two words": HEAD + "permissions: {network: {'allow ': [{host: '*'}]}}\n",
    "a word that YAML reads as no": HEAD + "permissions: {network: {allow: [{host: no}]}}\n",
    # POL-05
    "a tag": HEAD + "description: !!python/object/apply:os.system [id]\n",
    "a tag of YAML's own": HEAD + "permissions: !!map {network: {allow: [{host: '*'}]}}\n",
    "a directive": f"%TAG ! tag:evil.test,2024:\n---\n{HEAD}description: !x y\n",
    "two documents": f"{HEAD}---\n{HEAD}permissions: {WIDE}\n",
    "a second document behind an end": f"{HEAD}...\n---\npermissions: {WIDE}\n",
    "depth": HEAD + "permissions: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "depth of mappings": HEAD + "permissions: " + "{a: " * 20_000 + "}" * 20_000 + "\n",
    "depth by dashes": HEAD + "permissions:\n  " + "- " * 20_000 + "x\n",
    "length": HEAD + "description: " + "x" * (5 << 20) + "\n",
    "length of a key": HEAD + "x" * (200 << 10) + ": y\n",
    "not UTF-8": b'version: "2.0"\ndescription: "\xff"\n',
    "UTF-16": (HEAD + f"permissions: {WIDE}\n").encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + HEAD.encode(),
    "half a character": b'version: "2.0"\ndescription: "\xed\xa0\x80"\n',
    "a NUL": HEAD + "description: 'a\0b'\n",
    "a line end of its own": HEAD + "description: a\u2028permissions: {}\n...\nx",
    "nothing": "",
    "patterns that multiply": HEAD + 'permissions: {storage: {allow: [{uri: "fs:///' + "{a,b}" * 40 + '", access: [read]}]}}\n',
    "patterns that go back for ever": HEAD
    + 'permissions: {storage: {allow: [{uri: "fs:///'
    + "**/*a*/" * 60
    + '", access: [read]}]}}\n',
}


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", TRAPS)
async def test_a_document_that_is_a_trap_is_refused_and_the_last_good_one_stays(kind: str, stage: Stage, tmp_path: Path) -> None:
    """POL-01, POL-02, POL-03, POL-05: at once, with its place; the record says where it is wrong and not what was in it."""
    await stage.load("escape_traversal", policy())
    before = stage.sandbox.get_policy("escape_traversal")
    trap = TRAPS[kind]
    marked = trap + f"# {CANARY}\n" if isinstance(trap, str) and len(trap) < 100_000 else trap
    file = write(tmp_path / "policy.yaml", marked)
    began = time.process_time()
    with pytest.raises(PolicyError) as refused:
        await stage.sandbox.update_component_policy("escape_traversal", file)
    assert time.process_time() - began < 10
    assert all(problem.where.rpartition("/")[2].startswith("policy.yaml:") for problem in refused.value.problems)
    assert len(str(refused.value)) < 100_000
    assert stage.sandbox.get_policy("escape_traversal") == before
    await stage.neighbour_is_well()
    last = stage.records()[-4:]
    assert [one for one in last if one["event"] == "policy_refused" and one["component"] == "escape_traversal"]
    assert CANARY not in "".join(map(str, last))


async def test_twenty_refused_documents_leave_nothing_behind(stage: Stage, tmp_path: Path) -> None:
    """POL-01, POL-05: no descriptor, no process, no file and no memory."""
    await stage.load("escape_traversal", policy())
    files = [write(tmp_path / f"{number}.yaml", trap) for number, trap in enumerate(TRAPS.values())]

    async def refuse_all() -> None:
        for file in files:
            with pytest.raises(PolicyError):
                await stage.sandbox.update_component_policy("escape_traversal", file)

    await refuse_all()
    before = stage.traces()
    await refuse_all()
    after = stage.traces()
    assert after.descriptors <= before.descriptors
    assert after.processes <= before.processes
    assert after.files <= before.files
    assert after.memory <= before.memory + (24 << 20)


@pytest.mark.parametrize(
    "how",
    ["symlink", "hard link", "writable by the group", "writable by all", "another owner's", "a FIFO", "a device", "a folder"],
)
async def test_a_policy_that_others_may_change_is_refused(tmp_path: Path, how: str) -> None:
    """POL-07."""
    path = write(tmp_path / "policy.yaml", NOTHING)
    path.chmod({"writable by the group": 0o660, "writable by all": 0o606}.get(how, 0o600))
    private = grp.getgrgid(path.stat().st_gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    if how == "symlink":
        path.rename(tmp_path / "real.yaml")
        path.symlink_to(tmp_path / "real.yaml")
    elif how == "hard link":
        os.link(path, tmp_path / "second.yaml")
    elif how == "writable by the group" and os.geteuid() == 0:
        os.chown(path, 0, 4711)  # not root's private group
    elif how == "writable by the group" and private:
        path.chmod(0o606)  # the user's private group is nobody else; only others are left to try
    elif how == "another owner's" and os.geteuid() == 0:
        os.chown(path, 4711, 4711)
    elif how == "another owner's":
        path = Path("/etc/hosts") if Path("/etc/hosts").stat().st_uid else Path("/proc/1/environ")
    elif how in {"a FIFO", "a folder"}:
        path.unlink()
        (os.mkfifo if how == "a FIFO" else os.mkdir)(path)
    elif how == "a device":
        path = Path("/dev/zero")
    began = time.monotonic()
    with pytest.raises(SandboxError) as refused:
        load_policy_file(path)
    assert time.monotonic() - began < 20
    assert refused.value.message


@pytest.mark.parametrize("part", ["state", "cache", "audit", "run", "data", ""])
async def test_no_component_is_given_the_hosts_own_folders(stage: Stage, part: str) -> None:
    """POL-07: a grant on its own record, cache or state would be a grant on everything; nor on what holds all data."""
    for uri in (
        f"fs://{stage.home / part}/**",
        f"fs://{stage.home / part}",
        f"fs://{stage.folder}/{{home,x}}/**",
        f"fs://{stage.folder}/*/**",
    ):
        with pytest.raises(SandboxError):
            await stage.sandbox.grant_storage_permission("traps", uri, ["read"])


async def test_no_component_is_given_its_own_policy(stage: Stage, tmp_path: Path) -> None:
    """POL-07: by the policy itself, by a grant, by a link to its folder."""
    own = write(tmp_path / "policy.yaml", policy(f'uri: "fs://{tmp_path}/**", access: [read, write]'))
    await stage.load("escape_traversal", policy())
    with pytest.raises(PolicyError, match="the host's own"):
        await stage.sandbox.update_component_policy("escape_traversal", own)
    await stage.sandbox.update_component_policy("escape_traversal", write(own, NOTHING))
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    for uri in (f"fs://{tmp_path}/**", f"fs://{own}", f"fs://{tmp_path}/*.yaml", f"fs://{tmp_path}/elsewhere/**"):
        with pytest.raises(SandboxError):
            await stage.sandbox.grant_storage_permission("escape_traversal", uri, ["write"])


async def test_what_is_changed_in_a_policy_file_later_holds_for_nobody(stage: Stage, tmp_path: Path) -> None:
    """POL-07: another component may write the folder that it lies in; what was accepted is what was read."""
    file = write(tmp_path / "policy.yaml", NOTHING)
    await stage.load("escape_environment", policy())
    await stage.sandbox.update_component_policy("escape_environment", file)
    write(file, policy(environment='key: "*"'))
    assert value(await stage.call("escape_environment__look"))["variables"] == []
    assert stage.sandbox.get_policy("escape_environment").text == NOTHING


async def test_deny_wins_in_every_section(stage: Stage, tmp_path: Path) -> None:
    """POL-08."""
    (tmp_path / "w/private").mkdir(parents=True)
    (tmp_path / "w/private/secret").write_text(CANARY)
    storage = f"""uri: "fs://{tmp_path}/w/**", access: [read], mount: /w
                  deny uri: "fs://{tmp_path}/w/private/**", access: [read, write, create, delete]"""
    await stage.load("escape_traversal", policy(storage))
    got = attempts(await stage.call("escape_traversal__open-each", mount="/w", paths=["private/secret"]))
    assert got["private/secret"] in {"not-permitted", "no-entry"}
    await stage.load("escape_network", policy(network='host: "*", protocols: [http]\ndeny host: "denied.test"'))
    refused = await stage.call(
        "escape_network__request", method="GET", scheme="http", authority="denied.test", path="/", headers=[], body=""
    )
    assert refused.outcome.denials[0].origin is not None
    environment = """key: HOME
                     deny key: "H*\""""
    await stage.load("escape_environment", policy(environment=environment))
    assert value(await stage.call("escape_environment__look"))["variables"] == []


async def test_where_all_is_allowed_and_all_is_denied_nothing_is_given(stage: Stage, tmp_path: Path) -> None:
    """POL-08: both global."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w/x").write_text(CANARY)
    storage = f"""uri: "fs://{tmp_path}/w/**", access: [read], mount: /w
                  deny uri: "fs://{tmp_path}/w/**\""""
    await stage.load("escape_traversal", policy(storage))
    got = attempts(await stage.call("escape_traversal__open-each", mount="/w", paths=["x"]))
    assert got["x"] in {"not-permitted", "no-entry"}
    await stage.load("escape_network", policy(network='host: "*", protocols: [http]\ndeny host: "*"'))
    refused = await stage.call(
        "escape_network__request", method="GET", scheme="http", authority="a.test", path="/", headers=[], body=""
    )
    assert refused.outcome.denials[0].origin is not None
    await stage.load("escape_environment", policy(environment='key: "*"\ndeny key: "*"'))
    assert value(await stage.call("escape_environment__look"))["variables"] == []
    await stage.neighbour_is_well()


EXPANSIONS = {
    "steps up": ("/srv/../etc", "has `..` in it"),
    "a step up at the end": ("/srv/x/..", "has `..` in it"),
    "a relative path": ("work", "is no absolute path"),
    "nothing": ("", "is no absolute path"),
    "two slashes": ("//srv/x", "is no absolute path"),
    "the whole disk": ("/", "which holds the host's own files"),
    "every folder": ("/srv/*", "has a character"),
    "a choice": ("/srv/{a,b}", "has a character"),
    "a set": ("/srv/[ab]", "has a character"),
    "another uri": ("fs:///srv", "is no absolute path"),
    "two lines": ("/srv/x\n/etc", "has a character"),
    "the kernel's": ("/proc/self", "which is the kernel's or a service's"),
    "another variable": ("${HOME}", "is no absolute path"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def expanding(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A host in whose environment are the variables `W0`, `W1`, …"""
    environment = {f"W{number}": holds for number, (holds, _) in enumerate(EXPANSIONS.values())}
    async with staged(tmp_path_factory.mktemp("expansions"), environment=environment) as stage:
        yield stage


@pytest.mark.parametrize("kind", EXPANSIONS)
async def test_what_a_variable_holds_never_reaches_further_than_the_line_reads(
    kind: str, expanding: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside POL: `..`, patterns, the root, a tree of the kernel, several paths; in a variable or in the home folder."""
    holds, said = EXPANSIONS[kind]
    monkeypatch.setenv("HOME", holds or "/srv/..")
    before = expanding.sandbox.get_policy("traps")
    for anchor in (f"${{W{list(EXPANSIONS).index(kind)}}}", "~"):
        document = load_policy(policy(f'uri: "fs://{anchor}/**", access: [read]'), file="policy.yaml")
        with pytest.raises(PolicyError) as refused:
            await expanding.sandbox.update_component_policy("traps", document)
        assert said in str(refused.value) or (anchor == "~" and not holds)
    assert expanding.sandbox.get_policy("traps") == before
    await expanding.neighbour_is_well()


async def test_a_variable_that_is_changed_after_the_start_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    """Beside POL: the environment is that of the host's start; and one that is not set grants nothing."""
    with pytest.raises(PolicyError, match="the host has no variable `NOT_SET_ANYWHERE`"):
        await stage.load("escape_traversal", policy('uri: "fs://${NOT_SET_ANYWHERE}/**", access: [read]'))
    for uri in ("fs://${WORK}x/**", "fs://x/${WORK}/**", "fs://~root/**", "fs://${WORK", "fs://$WORK/**", "fs://${roots}/**"):
        with pytest.raises(PolicyError):
            load_policy(policy(f'uri: "{uri}", access: [read]'), file="policy.yaml")


async def test_many_documents_at_once_leave_one_whole_policy(stage: Stage) -> None:
    """Beside POL: twenty documents for one component at the same time, every second one broken: the rules are of one."""
    await stage.load("escape_environment", policy())
    names = [f"SANDBOX_{number}" for number in range(20)]
    texts = [policy(environment=f"key: {name}, value: x") + ("  broken: {}\n" if at % 2 else "") for at, name in enumerate(names)]
    updates = [stage.sandbox.update_component_policy("escape_environment", Written(text, "policy.yaml")) for text in texts]
    done = await asyncio.gather(*updates, return_exceptions=True)
    assert [isinstance(one, PolicyError) for one in done] == [bool(at % 2) for at in range(20)]
    seen = value(await stage.call("escape_environment__look"))["variables"]
    assert len(seen) == 1
    assert seen[0][0] in names[::2]
