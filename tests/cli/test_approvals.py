"""`sandbox approvals` beside a running server: what waits is shown whole, answered once, and the answer holds there."""

from __future__ import annotations

import json
import os
import pty
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli import main
from sandbox.cli.local_user import local_user
from tests.cli.test_asking import SECONDS, shown_until
from tests.cli.test_completion import offered
from tests.support.commands import sandbox
from tests.support.guests import guest
from tests.support.serving import NOTHING, Lines, Serving, call, lines

ECHO = "every_type__echo-string"
DOCUMENT = f"""version: "1.0"
template: permissive
roles: {{boss: {{permissions: [{{resource: "tools/*", actions: [invoke]}}]}}}}
assignments: {{local: [boss]}}
rules:
  - {{name: of-the-boss, effect: require_approval, when: {{arguments.x: boss}}, constraints: {{approver_role: boss}}}}
approvals: {{require: [{ECHO}]}}
"""
ME = local_user()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Lines]]:
    """A running server under a document, and the folder of its home."""
    folder = tmp_path_factory.mktemp("approvals")
    for name, text in (("admission.yaml", DOCUMENT), ("sandbox.yaml", "admission: ./admission.yaml\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    config = ("--config", str(folder / "sandbox.yaml"))
    with (
        pytest.MonkeyPatch.context() as patch,
        lines(Serving(folder, [guest("every_type")], NOTHING, config)) as client,
    ):
        patch.setenv("SANDBOX_CONFIG", config[1])
        client.handshake()
        yield folder, client


def echo(client: Lines, text: str) -> dict[str, Any]:
    """The body of a call's answer."""
    told = client.ask(text + os.urandom(4).hex(), "tools/call", call(0, ECHO, x=text)["params"])["result"]
    return dict(json.loads(told["content"][0]["text"]))


def told(*words: str, folder: Path) -> Any:
    done = sandbox("approvals", *words, "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def test_an_id_that_is_none_is_wrong_usage(served: tuple[Path, Lines]) -> None:
    """ADM-07: an id is not guessed."""
    folder, _ = served
    for action in ("show", "deny", "withdraw", "approve"):
        done = sandbox("approvals", action, "a-" + "0" * 32, *(["--yes"] if action == "approve" else []), folder=folder)
        assert (done.returncode, "there is no approval" in done.stderr) == (2, True)
    assert sandbox("approvals", "list", "--state", "pendin", folder=folder).returncode == 2


def test_without_a_terminal_a_yes_has_to_be_said(served: tuple[Path, Lines]) -> None:
    folder, client = served
    approval = echo(client, "unsaid")["approval"]
    done = sandbox("approvals", "approve", approval, folder=folder)
    assert (done.returncode, "say `--yes`" in done.stderr) == (2, True)
    assert told("show", approval, folder=folder)["state"] == "pending"


def test_what_waits_is_listed_shown_and_let_run_once(served: tuple[Path, Lines]) -> None:
    folder, client = served
    body = echo(client, "a\x1b[2J")
    assert body["command"] == f"sandbox approvals approve {body['approval']}"
    listed = sandbox("approvals", "list", "--state", "pending", folder=folder).stdout
    assert body["approval"] in listed
    shown = sandbox("approvals", "show", body["approval"], folder=folder).stdout
    assert shown.startswith(f"`local` wants to call the tool `{ECHO}`, once, with these arguments (18 bytes):\n")
    assert '{"x":"a\\u001b[2J"}' in shown
    assert told("show", body["approval"], folder=folder)["arguments"] == '{"x":"a\\u001b[2J"}'
    done = sandbox(*body["command"].split()[1:], "--yes", "--note", "fine", folder=folder)
    assert done.stdout == f"approved: {body['approval']} ({ECHO} by local)\n"
    assert echo(client, "a\x1b[2J") == {"result": "a\x1b[2J"}
    found = told("show", body["approval"], folder=folder)
    assert (found["state"], found["closed_by"], found["arguments"]) == ("used", ME, None)
    assert [(yes["who"], yes["by"], yes["note"]) for yes in found["yeses"]] == [(ME, "terminal", "fine")]
    again = sandbox("approvals", "approve", body["approval"], "--yes", folder=folder)
    assert (again.returncode, "is used already" in again.stderr) == (1, True)


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_who_answers_is_this_user_whatever_the_environment_says(
    served: tuple[Path, Lines], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, client = served
    approval = echo(client, f"by {name}")["approval"]
    monkeypatch.setenv(name, "somebody-else")
    assert told("approve", approval, "--yes", folder=folder)["yeses"][0]["who"] == ME


def test_a_no_holds_and_a_withdrawal_lets_it_be_asked_anew(served: tuple[Path, Lines]) -> None:
    folder, client = served
    first = echo(client, "b")["approval"]
    assert sandbox("approvals", "deny", first, "--note", "not today", folder=folder).stdout.startswith("denied: ")
    assert f"was denied by {ME}: not today" in echo(client, "b")["message"]
    second = echo(client, "c")["approval"]
    assert told("withdraw", second, folder=folder)["state"] == "withdrawn"
    assert echo(client, "c")["approval"] != second


def test_who_lacks_the_role_cannot_and_is_told_how_it_is_given(served: tuple[Path, Lines]) -> None:
    folder, client = served
    approval = echo(client, "boss")["approval"]
    done = sandbox("approvals", "approve", approval, "--yes", folder=folder)
    assert (done.returncode, f"`sandbox role assign {ME} boss`" in done.stderr) == (1, True)
    assert sandbox("role", "assign", ME, "boss", folder=folder).returncode == 0
    assert told("approve", approval, "--yes", folder=folder)["state"] == "approved"
    assert echo(client, "boss") == {"result": "boss"}


@pytest.mark.parametrize(("typed", "state"), [("n\n", "pending"), ("\n", "pending"), ("y\n", "approved")])
def test_at_a_terminal_it_is_shown_whole_and_then_asked(
    served: tuple[Path, Lines], typed: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, client = served
    approval = echo(client, f"typed {typed!r}")["approval"]
    ours, theirs = pty.openpty()

    def answer() -> str:
        shown = shown_until(ours, "[y/N]")
        os.write(ours, typed.encode())
        return shown

    with os.fdopen(theirs) as keyboard, ThreadPoolExecutor(1) as thread, os.fdopen(os.dup(theirs), "w") as screen:
        monkeypatch.setattr("sys.stdin", keyboard)
        words = ["approvals", "approve", approval, "--home", str(folder / "home")]
        answered = thread.submit(answer)
        code = at_terminal(words, screen)
        shown = answered.result(SECONDS)
    os.close(ours)
    assert f'{{"x":"typed {json.dumps(repr(typed))[1:-1]}"}}' in shown
    assert code == (0 if state == "approved" else 1)
    assert told("show", approval, folder=folder)["state"] == state


def at_terminal(words: list[str], screen: Any) -> int:
    """The command with a screen for what is no data; its exit code."""
    with redirect_stderr(screen):
        return main(words)


def test_the_keys_are_those_that_the_page_of_the_commands_names(served: tuple[Path, Lines]) -> None:
    folder, client = served
    approval = echo(client, "keys")["approval"]
    page = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text()
    said = page.partition("An approval, as `sandbox approvals list` and")[2].partition("Times are")[0]
    named = set(re.findall(r"`([a-z_]+)`", said))
    assert set(told("show", approval, folder=folder)) == named
    assert set(told("list", folder=folder)[0]) == set(told("deny", approval, folder=folder)) == named - {"arguments"}


def test_bash_completes_what_is_pending(served: tuple[Path, Lines]) -> None:
    folder, client = served
    approval = echo(client, "completed")["approval"]
    (found,) = offered(folder, "sandbox approvals approve a-")
    assert approval in found
