"""`sandbox replay` and `sandbox admission diff`: what another document would change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which one call was made, under a document of its own."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "admission.yaml").write_text('version: "1.0"\ntemplate: permissive\nblocked_actions: [read]\n')
    (folder / "admission.yaml").chmod(0o600)
    (folder / "sandbox.yaml").write_text(f"admission: {folder / 'admission.yaml'}\n")
    (folder / "sandbox.yaml").chmod(0o600)
    assert sandbox("component", "load", str(files_component()), "--accept", folder=folder).returncode == 0
    config = ("--config", str(folder / "sandbox.yaml"))
    assert sandbox("tool", "call", "files__info", "path=/workspace", *config, folder=folder).returncode == 0
    assert "the action `read` is blocked" in sandbox("tool", "call", "files__read", "path=/x", *config, folder=folder).stderr
    return folder


def test_a_document_that_changes_nothing_is_told_so(folder: Path) -> None:
    done = sandbox("replay", str(folder / "admission.yaml"), folder=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert "none of 2 decisions changes" in done.stderr


def test_what_would_have_been_otherwise_is_listed(folder: Path) -> None:
    """One that was allowed and would be denied, one the other way round; exit code 1."""
    done = sandbox("replay", "strict", "--json", folder=folder)
    assert done.returncode == 1
    assert [(one["tool"], one["before"], one["after"]) for one in json.loads(done.stdout)["changed"]] == [
        ("files__info", "allow", "deny")
    ]
    done = sandbox("replay", "permissive", folder=folder)
    assert "files__read" in done.stdout
    assert "1 of 2 decisions change under permissive" in done.stderr
    assert "none of 0 decisions" in sandbox("replay", "strict", "--until", "2020-01-01", folder=folder).stderr


def test_what_was_refused_is_on_record_with_its_arguments_and_who_asked(folder: Path) -> None:
    """As the document saw it: another one can be asked the same."""
    (refused,) = json.loads(sandbox("audit", "list", "--event", "access_denied", "--json", folder=folder).stdout)
    assert refused["arguments"] == {"path": "/x"}
    assert "tools:invoke" in refused["detail"]["asked"]["scopes"]


def test_two_documents_are_compared_by_examples(folder: Path) -> None:
    own = str(folder / "admission.yaml")
    done = sandbox("admission", "diff", own, "permissive", "--json")
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["differences"]
    assert (found["example"], found["first"]["rules"]) == ({"tool": "other__read", "subject": "somebody"}, ["blocked_actions"])
    same = sandbox("admission", "diff", own, own)
    assert (same.returncode, "compared by examples" in same.stderr) == (0, True)
