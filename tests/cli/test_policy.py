"""`sandbox policy`: what a document means here, line by line, or all that is wrong with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from sandbox.cli.terminal import Terminal
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
    assert f"what the component calls so is `{tmp_path}/data/x`" in done.stderr
    assert "write below" not in done.stderr, "the host's own `/in` is another folder"
    assert f"`sandbox policy explain {file} --read {tmp_path}/data/x`" in done.stderr
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
        (["--url", "ftp://api.example.com/"], 1, "only http, https and tcp"),
        (
            ["--url", "tcp://api.example.com:443"],
            1,
            "`tcp://api.example.com:443`: denied, no rule for `api.example.com` allows `tcp`",
        ),
        (["--url", "tcp://api.example.com"], 1, "a connection needs a port"),
        (["--url", "udp://api.example.com:53"], 1, "only http, https and tcp"),
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


def test_several_files_are_checked_at_once_and_each_says_all_that_is_wrong(tmp_path: Path) -> None:
    good = policy(tmp_path)
    (tmp_path / "one.yaml").write_text('version: "2.0"\npermissions: {network: {allow: [{host: a.test, ports: [0, 65536]}]}}\n')
    (tmp_path / "two.yaml").write_text('version: "2.0"\npermissions: {ipc: {}}\n')
    files = [good, str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")]
    done = sandbox("policy", "check", *files, folder=tmp_path)
    assert done.returncode == 3
    assert "filesystem gate" in done.stdout
    assert [said in done.stderr for said in ("ports[0]: `0`", "ports[1]: `65536`", "`ipc` is refused")] == [True] * 3
    told = json.loads(sandbox("policy", "check", *files, "--json", folder=tmp_path).stdout)
    assert [(each["file"], each["ok"]) for each in told] == [(files[0], True), (files[1], False), (files[2], False)]
    assert len(told[1]["error"]["problems"]) == 2


def test_a_waived_line_is_shown_as_one_that_nothing_enforces(tmp_path: Path) -> None:
    file = policy(tmp_path, 'version: "2.0"\npermissions: {ipc: {}}\n')
    assert "--waive ipc" in sandbox("policy", "check", file, folder=tmp_path).stderr
    done = sandbox("policy", "check", file, "--waive", "ipc", folder=tmp_path)
    assert done.returncode == 0
    assert "nothing: waived" in done.stdout
    assert "is waived: it has no effect" in done.stderr
    told = json.loads(sandbox("policy", "check", file, "--waive", "ipc", "--json", folder=tmp_path).stdout)
    assert [one["field"] for one in told["waivers"]] == ["ipc"]


@pytest.mark.parametrize(
    ("question", "help_"),
    [
        (["--write", "{folder}/x"], 'write below `permissions.storage.allow`: `- {uri: "fs://{folder}/x", access: [write]}`'),
        (["--read", "{folder}/private/x"], "policy.yaml:8:9 decides, and no allow and no grant beats it: it must be taken out"),
        (
            ["--url", "https://b.test:8443/v1/x", "--method", "post"],
            '- {host: "b.test", ports: [8443], protocols: [https], methods: [POST]',
        ),
        (["--url", "tcp://db.test:5432"], '- {host: "db.test", ports: [5432], protocols: [tcp]}'),
        (["--url", "tcp://10.0.0.7:5432"], '- {cidr: "10.0.0.7/32", ports: [5432], protocols: [tcp]}'),
        (["--url", "tcp://169.254.169.254:80"], "no policy can allow it"),
        (["--url", "udp://a.test:53"], "no policy can allow it"),
        (["--url", "http://169.254.169.254/"], "no policy can allow it"),
        (["--url", "ftp://a.test/"], "no policy can allow it"),
        (["--env", "HOME"], "write below `permissions.environment.allow`: `- {key: HOME}`"),
        (["--limit", "memory=1Gi"], 'write below `permissions.resources.limits`: `memory: "1Gi"`'),
        (["--limit", "open_files=65"], "`open_files: 65`"),
        (["--limit", "memori"], "did you mean `memory`?"),
        (["--limit", "memory=64"], "write it as a policy does"),
    ],
)
def test_a_no_says_what_would_change_it(tmp_path: Path, question: list[str], help_: str) -> None:
    words = [word.replace("{folder}", str(tmp_path / "data")) for word in question]
    done = sandbox("policy", "explain", policy(tmp_path), *words, folder=tmp_path)
    assert done.returncode in {1, 2}
    assert help_.replace("{folder}", str(tmp_path / "data")) in done.stderr


def test_what_explain_says_to_write_allows_what_was_asked(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    question = ["--write", f"{folder}/x", "--url", "https://b.test:8443/v1/x", "--env", "HOME", "--limit", "memory=1Gi"]
    first = json.loads(sandbox("policy", "explain", policy(tmp_path), *question, "--json", folder=tmp_path).stdout)
    assert [each["allowed"] for each in first] == [False] * 4
    entries = {each["kind"]: each["advice"]["entry"] for each in first}
    document = {name: {"allow": [entries[name]]} for name in ("storage", "network", "environment")}
    text = json.dumps({"version": "2.0", "permissions": {**document, "resources": {"limits": entries["resource"]}}})
    (tmp_path / "policy.yaml").write_text(text)
    assert sandbox("policy", "explain", str(tmp_path / "policy.yaml"), *question, folder=tmp_path).returncode == 0


def test_two_kinds_of_access_to_one_path_are_one_question(tmp_path: Path) -> None:
    path = str(tmp_path / "data/x")
    done = sandbox("policy", "explain", policy(tmp_path), "--read", path, "--write", path, "--json", folder=tmp_path)
    (answer,) = json.loads(done.stdout)
    assert answer["advice"]["entry"]["access"] == ["write"]


def test_a_limit_is_said_with_the_line_that_it_comes_from(tmp_path: Path) -> None:
    text = 'version: "2.0"\npermissions: {resources: {limits: {memory: 64Mi}}}\n'
    done = sandbox("policy", "explain", policy(tmp_path, text), "--limit", "memory", "--limit", "stdio=1Ki", folder=tmp_path)
    assert done.returncode == 0
    assert "memory: 64Mi, by" in done.stdout
    assert "policy.yaml:2:44" in done.stdout
    assert "stdio 1Ki: allowed, it is 64Ki by default" in done.stdout


def test_where_the_ceiling_takes_it_the_ceiling_is_named(tmp_path: Path) -> None:
    most = tmp_path / "most.yaml"
    most.write_text(
        'version: "2.0"\npermissions: {network: {allow: [{host: api.example.com, protocols: [https], methods: [GET]}]}}\n'
    )
    text = 'version: "2.0"\npermissions: {network: {allow: [{host: api.example.com}]}}\n'
    done = sandbox(
        "policy", "explain", policy(tmp_path, text), "--url", "http://api.example.com/", "--ceiling", str(most), folder=tmp_path
    )
    assert done.returncode == 1
    assert "the policy allows it, the ceiling does not" in done.stdout
    assert "widen the ceiling" in done.stderr


def test_a_component_that_is_no_file_is_told_so_with_help(tmp_path: Path) -> None:
    done = sandbox("policy", "check", policy(tmp_path), "--component", str(tmp_path / "nope.wasm"), folder=tmp_path)
    assert done.returncode == 3
    assert "nope.wasm` cannot be read: no such file or directory\n  help: give the path of a .wasm file" in done.stderr


def test_a_difference_has_an_example_and_the_exit_code_says_that_there_is_one(tmp_path: Path) -> None:
    one = policy(tmp_path)
    two = tmp_path / "two.yaml"
    two.write_text(Path(one).read_text().replace("methods: [GET]", "methods: [GET, POST]").replace("LANG", "L*"))
    done = sandbox("policy", "diff", one, str(two), folder=tmp_path)
    assert done.returncode == 1
    assert "POST https://api.example.com/" in done.stdout
    assert "L" in done.stdout
    told = json.loads(sandbox("policy", "diff", one, str(two), "--json", folder=tmp_path).stdout)
    assert {each["kind"] for each in told["differences"]} == {"network", "environment"}
    assert told["complete"]
    for each in told["differences"]:
        for side, file in (("left", one), ("right", str(two))):
            asked = ["--env", each["example"]] if each["kind"] == "environment" else url_of(each["example"])
            answered = sandbox("policy", "explain", file, *asked, folder=tmp_path)
            assert (answered.returncode == 0) == each[side]["allowed"]
    same = sandbox("policy", "diff", one, one, folder=tmp_path)
    assert (same.returncode, same.stdout) == (0, "")
    assert "no difference was found" in same.stderr


def url_of(example: str) -> list[str]:
    method, url = example.split(" ")
    return ["--url", url, "--method", method]


def test_a_policy_of_version_1_is_written_as_version_2(tmp_path: Path) -> None:
    old = policy(tmp_path, 'version: "1.0"\npermissions:\n  network:\n    allow:\n      - host: a.test # why\n')
    done = sandbox("policy", "migrate", old, folder=tmp_path)
    assert done.returncode == 0
    (tmp_path / "new.yaml").write_text(done.stdout)
    assert "- host: a.test # why\n        ports: [any]\n" in done.stdout
    assert sandbox("policy", "diff", old, str(tmp_path / "new.yaml"), folder=tmp_path).returncode == 0
    assert done.stderr == ""
    again = sandbox("policy", "migrate", str(tmp_path / "new.yaml"), folder=tmp_path)
    assert again.returncode == 3
    assert "already" in again.stderr
    written = sandbox("policy", "migrate", old, "--output", str(tmp_path / "out.yaml"), folder=tmp_path)
    assert written.returncode == 0
    assert (tmp_path / "out.yaml").read_text() == done.stdout
    assert sandbox("policy", "migrate", old, "--output", str(tmp_path / "out.yaml"), folder=tmp_path).returncode == 2
    assert sandbox("policy", "migrate", old, "--set", folder=tmp_path).returncode == 2


def test_migrate_names_the_lines_that_a_waiver_drops(tmp_path: Path) -> None:
    old = policy(tmp_path, 'version: "1.0"\npermissions:\n  ipc: {}\n  network: {allow: [{host: a.test}]}\n')
    done = sandbox("policy", "migrate", old, "--waive", "ipc", folder=tmp_path)
    assert f"{old}:3:3: `ipc` was waived, had no effect, and is left out" in done.stderr
    told = json.loads(sandbox("policy", "migrate", old, "--waive", "ipc", "--json", folder=tmp_path).stdout)
    assert told["dropped"] == [{"field": "ipc", "origin": f"{old}:3:3"}]
    assert "ipc" not in told["text"]


def test_the_schema_is_that_of_the_version_and_an_editor_is_told_of_it(tmp_path: Path) -> None:
    schema = json.loads(sandbox("policy", "schema", folder=tmp_path).stdout)
    jsonschema.validate(yaml.safe_load(POLICY), schema, jsonschema.Draft202012Validator)
    done = sandbox("policy", "schema", "--of", "1.0", "--output", str(tmp_path / "v1.json"), folder=tmp_path)
    hint = f"# yaml-language-server: $schema={tmp_path / 'v1.json'}"
    assert hint in done.stdout
    old = hint + '\nversion: "1.0"\npermissions: {storage: }\n'
    jsonschema.validate(yaml.safe_load(old), json.loads((tmp_path / "v1.json").read_text()), jsonschema.Draft202012Validator)
    assert sandbox("policy", "check", policy(tmp_path, old), folder=tmp_path).returncode == 0


def test_the_policies_that_ship_with_the_host_are_listed_with_what_they_are_for(tmp_path: Path) -> None:
    done = sandbox("policy", "list", "--json", folder=tmp_path)
    found = {each["name"]: each["description"] for each in json.loads(done.stdout)}
    assert set(found) == {"deny-all", "one-host", "read-only", "workspace"}
    assert all(found.values())


def test_a_person_at_a_terminal_sees_colours_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    Terminal().line("no", colour="red")
    assert capsys.readouterr().out == "no\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Terminal().line("no \x1b[32m", colour="red")
    assert capsys.readouterr().out == "\x1b[31mno \\x1b[32m\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    Terminal().line("no", colour="red")
    assert capsys.readouterr().out == "no\n"
