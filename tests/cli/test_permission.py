"""`sandbox permission` and `sandbox audit`: grants as objects, and what the record says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component
from tests.support.serving import Serving, call, lines

Run = Callable[..., Any]


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A folder whose home knows the files component."""
    done = sandbox("tool", "list", str(files_component()), "--policy", "deny-all", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "note.txt").write_text("hello")
    return tmp_path


def data(folder: Path, *words: str) -> Any:
    done = sandbox(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def test_a_grant_for_an_unknown_component_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    done = sandbox("permission", "grant", "nope", "storage", "fs:///srv/x", folder=tmp_path)
    assert done.returncode == 2
    assert "there is no component `nope`" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["storage", "fs:///proc/**"],
        ["storage", "fs:///srv/x", "--access", "read,execute"],
        ["storage", "file:///srv/x"],
        ["network", "http://api.example.com"],
        ["network", "api.example.com", "--port", "0"],
        ["network", "api.example.com", "--limit", "requests=many"],
        ["network", "api.example.com", "--limit", "nope=1"],
        ["network", "api.example.com", "--deny", "--limit", "requests=1/min"],
        ["environment", "A B=c"],
        ["resource", "memory=much"],
        ["resource", "nope=1"],
    ],
)
def test_a_grant_that_a_policy_could_not_say_is_refused(known: Path, words: list[str]) -> None:
    done = sandbox("permission", "grant", "files", *words, folder=known)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert data(known, "permission", "list") == []


def test_an_unknown_denial_or_grant_is_wrong_usage(known: Path) -> None:
    for words in (("grant", "--from-denial", "d-0"), ("revoke", "g-0")):
        done = sandbox("permission", *words, folder=known)
        assert done.returncode == 2, done.stderr
        assert "there is no" in done.stderr


def test_a_grant_holds_until_it_is_revoked(known: Path) -> None:
    read = ("tool", "call", str(files_component()), "read", f"path={known}/data/note.txt")
    refused = sandbox(*read, "--json", folder=known)
    assert refused.returncode == 1
    denial = json.loads(refused.stdout)["error"]
    assert denial["code"] == "filesystem_access_denied", denial
    grant = data(known, "permission", "grant", "--from-denial", denial["denial_id"])
    assert data(known, *read)["result"] == "hello"
    receipt = data(known, "permission", "revoke", grant["id"])
    assert receipt[0]["grant"] == grant["id"]
    assert sandbox(*read, folder=known).returncode == 1
    assert sandbox("permission", "revoke", grant["id"], folder=known).returncode == 3


@pytest.mark.parametrize(
    ("words", "kind", "entry"),
    [
        (["storage", "fs:///srv/x/**", "--access", "read,write"], "storage", {"uri": "fs:///srv/x/**"}),
        (
            ["storage", "fs:///srv/x/**", "--access", "read,write", "--max-file-size", "1Mi", "--max-total-size", "2Mi"],
            "storage",
            {"max_file_size": "1Mi", "max_total_size": "2Mi"},
        ),
        (["network", "api.example.com", "--method", "GET", "--port", "443"], "network", {"host": "api.example.com"}),
        (
            ["network", "api.example.com", "--limit", "requests=60/min", "--limit", "timeout=5s"],
            "network",
            {"limits": {"requests": "60/min", "timeout": "5s"}},
        ),
        (["network", "--cidr", "10.1.0.0/16"], "network", {"cidr": "10.1.0.0/16"}),
        (["environment", "MODE=fast"], "environment", {"key": "MODE", "value": "fast"}),
        (["resource", "memory=64Mi", "open_files=8"], "resource", {"memory": "64Mi", "open_files": 8}),
    ],
)
def test_each_kind_is_granted_and_listed(known: Path, words: list[str], kind: str, entry: dict[str, Any]) -> None:
    options = ("--reason", "a test", "--expires-in", "10m", "--max-uses", "3")
    grant = data(known, "permission", "grant", "files", *words, *options)
    assert (grant["kind"], grant["why"], grant["max_uses"]) == (kind, "a test", 3)
    ends, made = (datetime.fromisoformat(grant[key]) for key in ("expires_at", "created_at"))
    assert (ends - made).total_seconds() == pytest.approx(600)
    assert grant["created_at"].endswith("Z")
    assert entry.items() <= grant["entry"].items()
    assert [one["id"] for one in data(known, "permission", "list", "files")] == [grant["id"]]
    shown = sandbox("permission", "list", folder=known).stdout
    assert grant["id"] in shown
    assert "a test" in shown


def test_a_grant_that_no_running_server_gives_is_withdrawn_and_says_which_and_why(known: Path) -> None:
    (known / "ceiling.yaml").write_text('version: "2.0"\n')
    narrow = Serving(known, options=("--ceiling", str(known / "ceiling.yaml")))
    grant = ("permission", "grant", "files", "storage", f"fs://{known}/data/**")
    with lines(narrow) as client:
        client.handshake()
        client.ask(1, "tools/list")
        refused = narrow.terminal(*grant)
        assert refused.returncode == 3
        assert "no running server gives" in refused.stderr
        assert f"server {client.process.pid}-" in refused.stderr
        assert "outside the ceiling" in refused.stderr
        assert narrow.json("permission", "list") == []
        with lines(Serving(known)) as wide:
            wide.handshake()
            wide.ask(1, "tools/list")
            granted = narrow.terminal(*grant)
            assert granted.returncode == 0, granted.stderr
            assert f"WARNING: the running server {client.process.pid}-" in granted.stderr
            assert str(wide.process.pid) not in granted.stderr
            (listed,) = narrow.json("permission", "list")
            assert [one["server"].split("-")[0] for one in listed["refused_by"]] == [str(client.process.pid)]
            read = call(2, "files__read", path=f"{known}/data/note.txt")
            client.write(read)
            wide.write(read)
            assert client.answer(2)["result"]["isError"] is True
            assert wide.answer(2)["result"]["structuredContent"] == {"result": "hello"}


def test_a_component_that_nobody_knows_is_named(known: Path) -> None:
    for words in (["list", "nope"], ["reset", "nope"], ["revoke", "--component", "nope", "--all"]):
        done = sandbox("permission", *words, folder=known)
        assert done.returncode == 2
        assert "there is no component `nope`" in done.stderr
    assert sandbox("permission", "list", "files", folder=known).stderr == "no grants hold for `files`\n"


def test_what_says_nothing_or_two_things_is_wrong_usage(tmp_path: Path) -> None:
    granting = ["grant", "files", "environment", "A", "--once"]
    for words in (["reset"], ["reset", "files", "--all"], [*granting, "--lasting"], [*granting, "--max-uses", "2"]):
        assert sandbox("permission", *words, folder=tmp_path).returncode in {2, 3}


def test_a_grant_says_how_long_it_holds(known: Path) -> None:
    granting = ("permission", "grant", "files", "environment")
    once = data(known, *granting, "A", "--once")
    lasting = data(known, *granting, "B", "--lasting")
    assert [(one["lifetime"], one["max_uses"], one["session"]) for one in (once, lasting)] == [
        ("once", 1, None),
        ("lasting", None, None),
    ]
    shown = {line.split()[0]: line for line in sandbox("permission", "list", "files", folder=known).stdout.splitlines()}
    assert "one call" in shown[once["id"]]
    assert "lasting" in shown[lasting["id"]]


def test_a_grant_shows_what_it_changes_and_what_it_is_wider_than(known: Path) -> None:
    granting = ("permission", "grant", "files", "storage")
    narrow = data(known, *granting, f"fs://{known}/data/note.txt")
    assert narrow["change"]["gives"] == [f"allow read on {known}/data/note.txt"]
    shown = sandbox(*granting, f"fs://{known}/data/**", folder=known).stdout.splitlines()
    assert shown[0].startswith("granted g-")
    assert shown[0].endswith("(lasting)")
    assert shown[1:] == [
        f"  + allow read on {known}/data/**",
        f"  wider than: allow read on {known}/data/note.txt (grant {narrow['id']})",
    ]


def test_a_reset_ends_every_grant_of_a_component_denies_too(known: Path) -> None:
    ids = {data(known, "permission", "grant", "files", "storage", "fs:///srv/x", *more)["id"] for more in ([], ["--deny"])}
    receipts = data(known, "permission", "reset", "files")
    assert {one["grant"] for one in receipts} == ids
    assert data(known, "permission", "list") == []
    data(known, "permission", "grant", "files", "storage", "fs:///srv/x")
    assert sandbox("permission", "reset", "--all", folder=known).stdout == "every grant has ended\n"
    assert data(known, "permission", "list") == []


def test_all_grants_of_a_component_are_revoked_together(known: Path) -> None:
    for name in ("a", "b"):
        data(known, "permission", "grant", "files", "storage", f"fs:///srv/{name}")
    assert len(data(known, "permission", "revoke", "--component", "files", "--all")) == 2
    assert data(known, "permission", "list") == []


def test_the_record_tells_a_call_and_verifies(known: Path) -> None:
    call = sandbox("tool", "call", str(files_component()), "read", "path=/nope", "--json", folder=known)
    request = json.loads(call.stdout)["request_id"]
    events = [event["event"] for event in data(known, "audit", "list", "--call", request)]
    assert events == ["tool_invoke", "access_denied", "tool_failure"]
    assert len(data(known, "audit", "list", "--limit", "1")) == 1
    assert data(known, "audit", "list", "--since", "2999-01-01") == []
    assert data(known, "audit", "verify")["ok"] is True


def test_a_changed_record_is_named_and_the_exit_code_says_no(known: Path) -> None:
    file = next((known / "home" / "audit").glob("*.jsonl"))
    file.write_text(file.read_text().replace('"files"', '"other"', 1))
    done = sandbox("audit", "verify", folder=known)
    assert done.returncode == 1
    assert file.name in done.stderr
    assert done.stdout == ""


def test_a_changed_record_is_not_counted_among_those_that_hold(known: Path) -> None:
    file = next((known / "home" / "audit").glob("*.jsonl"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], lines[1].replace('"files"', '"other"', 1), *lines[2:]]))
    done = sandbox("audit", "verify", folder=known)
    first, second = done.stderr.splitlines()
    assert ": record 2 " in first
    assert second == "  help: record 1 is as it was written"


def test_an_empty_home_says_that_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    assert sandbox("permission", "list", folder=tmp_path).stderr == "no grants hold\n"
    assert sandbox("audit", "list", folder=tmp_path).stderr == "no events\n"
    assert sandbox("audit", "verify", folder=tmp_path).stdout == "ok: 0 records, nothing is on record\n"
