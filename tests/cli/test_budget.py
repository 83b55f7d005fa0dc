"""`sandbox budget`: what is used of which budget, set and taken back in a terminal; and the key of the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.exits import Exit
from tests.support.commands import sandbox
from tests.support.guests import guest

DOCUMENT = """
version: "1.0"
template: permissive
prices: {per_call: {"*": 0.25}}
budgets:
  users: {local: {max_cost: 1, period: day, soft_limit_percent: 50}}
  runs: {default: {max_tool_calls: 1}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration of its own, which names an admission document."""
    (tmp_path / "admission.yaml").write_text(DOCUMENT)
    (tmp_path / "admission.yaml").chmod(0o600)
    (tmp_path / "sandbox.yaml").write_text("admission: ./admission.yaml\nbudgets: {global: {max_requests: 3}}\n")
    (tmp_path / "sandbox.yaml").chmod(0o600)
    monkeypatch.setenv("SANDBOX_CONFIG", str(tmp_path / "sandbox.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*words: str, folder: Path) -> Any:
    done = sandbox(*words, "--json", folder=folder)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def call(folder: Path) -> Any:
    done = sandbox("tool", "call", str(guest("traps")), "traps__fine", "number=1", "--json", folder=folder)
    answer = json.loads(done.stdout)
    return done.returncode, answer.get("error", answer)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "alice", "--max-cost", "1"), "`alice` has no budget"),
        (("set", "users/", "--max-cost", "1"), "`users/` has no budget"),
        (("set", "users/alice"), "the budget limits nothing"),
        (("set", "users/alice", "--max-cost", "lots"), "--max-cost: `lots` is no amount of money"),
        (("set", "users/alice", "--max-requests", "1.5"), "--max-requests: `1.5` is no count"),
        (("set", "users/alice", "--max-cost", "1", "--period", "year"), "--period: `year` is no period"),
        (("set", "runs/x", "--max-cost", "1", "--period", "day"), "a run does not begin anew"),
        (("reopen", "users/alice"), "`users/alice` cannot be shut"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = sandbox("budget", *words, folder=tmp_path)
    assert (done.returncode, said in done.stderr) == (Exit.USAGE, True), done.stderr


def test_what_is_not_set_or_not_shut_is_not_found(tmp_path: Path) -> None:
    assert "no budget was set for the user `bob`" in sandbox("budget", "drop", "users/bob", folder=tmp_path).stderr
    assert "`runs/x` is not shut" in sandbox("budget", "reopen", "runs/x", folder=tmp_path).stderr


def test_budgets_hold_over_commands_and_are_shown_set_and_dropped(folder: Path) -> None:
    """What one command used is used for the next; the operator's maximum holds whatever is set."""
    assert call(folder)[0] == 0
    (shown,) = told("budget", "show", "users/local", folder=folder)["budgets"]
    assert {key: shown[key] for key in ("whose", "limit", "spent", "of", "remaining", "exceeded", "period", "rule")} == {
        "whose": "users/local",
        "limit": "max_cost",
        "spent": "0.25",
        "of": "1",
        "remaining": "0.75",
        "exceeded": False,
        "period": "day",
        "rule": "budgets.users.local.max_cost",
    }
    told("budget", "set", "users/local", "--max-cost", "0.25", "--period", "day", folder=folder)
    code, refused = call(folder)
    assert (code, refused["code"], refused["rules"]) == (1, "budget_exceeded", ["budget set users/local.max_cost"])
    assert 0 < refused["retry_after_s"] <= 86_400
    told("budget", "set", "users/local", "--max-cost", "100", folder=folder)
    assert [call(folder)[0] for _ in range(3)] == [0, 0, 1]
    assert "max_requests" in call(folder)[1]["message"]
    told("budget", "drop", "users/local", folder=folder)
    table = sandbox("budget", "show", folder=folder).stdout
    assert "3 of 3" in table
    assert "0.75 of 1" in table
