"""`sandbox policy`: what a document means here, line by line, or all that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import sandbox
from tests.support.components import files_component

POLICY = """\
version: "2.0"
permissions:
  storage:
    allow:
      - uri: fs://{folder}/**
        access: [read]
    deny:
      - uri: fs://{folder}/private/**
        access: [read]
  network:
    allow:
      - host: api.example.com
        methods: [GET]
  environment:
    allow:
      - key: LANG
"""


def policy(tmp_path: Path, text: str = POLICY) -> str:
    (tmp_path / "data" / "private").mkdir(parents=True)
    (tmp_path / "policy.yaml").write_text(text.replace("{folder}", str(tmp_path / "data")))
    return str(tmp_path / "policy.yaml")


def test_every_problem_of_a_document_comes_at_once(tmp_path: Path) -> None:
    text = 'version: "2.0"\npermissions:\n  storage:\n    alow: []\n  network:\n    allow:\n      - host: no\n  ipc: {}\n'
    done = sandbox("policy", "check", policy(tmp_path, text), folder=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    assert [where in done.stderr for where in ("policy.yaml:4:5", "policy.yaml:7:15", "policy.yaml:8:3")] == [True] * 3
    assert "did you mean `allow`" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_problems_are_data_with_json(tmp_path: Path) -> None:
    done = sandbox("policy", "check", policy(tmp_path, 'version: "3.0"\n'), "--json", folder=tmp_path)
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "validation_failed"
    assert error["problems"][0]["path"] == "version"


def test_a_section_at_the_wrong_place_is_sent_to_its_own(tmp_path: Path) -> None:
    text = 'version: "2.0"\nresources:\n  limits:\n    memory: 64Mi\n'
    done = sandbox("policy", "check", policy(tmp_path, text), folder=tmp_path)
    assert done.returncode == 3
    assert "policy.yaml:2:1: resources: unknown key `resources`\n  help: write it below `permissions`" in done.stderr


def test_a_named_policy_is_read_as_run_would_read_it(tmp_path: Path) -> None:
    done = sandbox("policy", "check", "nope", folder=tmp_path)
    assert done.returncode == 3
    assert "no policy named `nope`" in done.stderr
    done = sandbox("policy", "explain", "one-host", "--url", "https://other.example.com/", folder=tmp_path)
    assert done.returncode == 1
    assert "denied" in done.stdout


def test_a_folder_of_the_component_itself_is_that_of_the_component_that_is_named(tmp_path: Path) -> None:
    text = 'version: "2.0"\npermissions:\n  storage:\n    allow:\n      - uri: fs://in/**\n        access: [read]\n'
    file = policy(tmp_path, text)
    done = sandbox("policy", "check", file, folder=tmp_path)
    assert f"`{tmp_path}/home/data/policy` stands for the component's own data folder" in done.stderr
    done = sandbox("policy", "check", file, "--component", str(files_component()), folder=tmp_path)
    assert done.stderr == ""
    assert f"{tmp_path}/home/data/files/in/**" in done.stdout
    assert sandbox("policy", "check", "deny-all", folder=tmp_path).stderr == ""


def test_a_policy_may_have_a_name_that_no_component_can_have(tmp_path: Path) -> None:
    file = Path(policy(tmp_path)).rename(tmp_path / "my own policy.yaml")
    assert sandbox("policy", "check", str(file), folder=tmp_path).returncode == 0


def test_explain_says_what_lies_behind_the_name_that_a_component_uses(tmp_path: Path) -> None:
    file = policy(tmp_path, POLICY.replace("access: [read]\n", "access: [read]\n        mount: /in\n", 1))
    done = sandbox("policy", "explain", file, "--read", "/in/x", folder=tmp_path)
    assert done.returncode == 1
    assert f"what the component calls so is `{tmp_path}/data/x`" in done.stdout
    assert sandbox("policy", "explain", file, "--read", f"{tmp_path}/data/x", folder=tmp_path).returncode == 0


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = sandbox("policy", "check", str(tmp_path / "nope.yaml"), folder=tmp_path)
    assert done.returncode == 3
    assert "nope.yaml" in done.stderr
    assert "there is no such file" in done.stderr


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = policy(tmp_path)
    Path(file).chmod(0o666)
    done = sandbox("policy", "check", file, folder=tmp_path)
    assert done.returncode == 3
    assert "chmod go-w" in done.stderr


def test_check_names_for_each_line_what_enforces_it(tmp_path: Path) -> None:
    done = sandbox("policy", "check", policy(tmp_path), "--json", folder=tmp_path)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    lines = {line["origin"].rpartition("policy.yaml:")[2]: line for line in told["lines"]}
    assert "filesystem gate" in lines["5:9"]["enforced_by"]
    assert "HTTP gate" in lines["12:9"]["enforced_by"]
    assert all(line["enforced_by"] for line in told["lines"])


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    sandbox("policy", "check", policy(tmp_path), folder=tmp_path)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("question", "code", "says"),
    [
        (["--read", "{folder}/private/x"], 1, "policy.yaml:8:9"),
        (["--write", "{folder}/x"], 1, "write denied"),
        (["--read", "/etc/passwd"], 1, "no line allows it"),
        (["--url", "https://api.example.com/", "--method", "post"], 1, "denied"),
        (["--url", "ftp://api.example.com/"], 1, "only http and https"),
        (["--url", "http://127.0.0.1/"], 1, "denied"),
        (["--env", "HOME"], 1, "no line allows it"),
        (["--read", "{folder}/x", "--read", "{folder}/x"], 0, "policy.yaml:5:9"),
        (["--url", "https://api.example.com/"], 0, "policy.yaml:12:9"),
        (["--env", "LANG"], 0, "policy.yaml:16:9"),
        ([], 2, "nothing is asked"),
    ],
)
def test_explain_says_which_line_decides(tmp_path: Path, question: list[str], code: int, says: str) -> None:
    words = [word.replace("{folder}", str(tmp_path / "data")) for word in question]
    done = sandbox("policy", "explain", policy(tmp_path), *words, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr


def test_explain_judges_a_link_by_where_it_ends(tmp_path: Path) -> None:
    file = policy(tmp_path)
    (tmp_path / "data" / "link").symlink_to("/etc/passwd")
    done = sandbox("policy", "explain", file, "--read", str(tmp_path / "data" / "link"), folder=tmp_path)
    assert done.returncode == 1
    assert "/etc/passwd" in done.stdout


def test_a_ceiling_is_part_of_the_answer(tmp_path: Path) -> None:
    file = policy(tmp_path)
    ceiling = tmp_path / "ceiling.yaml"
    ceiling.write_text('version: "2.0"\n')
    done = sandbox("policy", "check", file, "--ceiling", str(ceiling), folder=tmp_path)
    assert done.returncode == 3
    assert "ceiling" in done.stderr
