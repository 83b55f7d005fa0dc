"""docs/using.md, authoring.md, operating.md and threats.md: each command is run, and each claim has what it names."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sandbox.cli.arguments import root
from sandbox.config.read import read_text
from sandbox.config.settings import DEFAULTS
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.policy.workflow import load_workflow
from tests.support.commands import sandbox
from tests.support.serving import SECONDS, program
from tests.test_enforcement import leaves

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ("using", "authoring", "operating", "threats")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES}
SERVES = "$ sandbox serve"
ANSWER_IS_NO = re.compile(r"refused: ", re.MULTILINE)


def blocks(name: str, kind: str) -> list[str]:
    """The blocks of one language on a page."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGES[name], re.MULTILINE | re.DOTALL)


def steps(name: str) -> list[tuple[str, str]]:
    """The commands of a page in their order, each with what is printed below it."""
    shown = "".join(block for block in blocks(name, "console") if not block.startswith(SERVES))
    return [
        (step.partition("\n")[0], step.partition("\n")[2].strip()) for step in re.split(r"^\$ ", shown, flags=re.MULTILINE)[1:]
    ]


def pattern(shown: str) -> re.Pattern[str]:
    """What a page shows, `…` being anything, and the width of a column too."""
    words = ["(?s:.*?)".join(re.escape(part) for part in re.split("…", word)) for word in shown.split()]
    return re.compile(r"\s+(?s:.*?)".join(words)) if words else re.compile(r"\A\s*\Z")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder where the paths of the pages lead to what they lead to in a clone."""
    clone = tmp_path_factory.mktemp("guides")
    (clone / "components").symlink_to(ROOT / "components")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        patch.setenv("XDG_CONFIG_HOME", str(clone / "config"))
        patch.delenv("SANDBOX_HOME", raising=False)
        yield clone


@pytest.mark.parametrize("name", ["using", "authoring", "operating"])
def test_the_commands_of_a_page_give_what_it_shows(clone: Path, name: str) -> None:
    given = steps(name)
    assert len(given) >= 4
    for command, shown in given:
        words = shlex.split(command)
        assert words[0] == "sandbox"
        done = sandbox(*words[1:], folder=clone)
        said = done.stdout + done.stderr
        assert done.returncode == (1 if ANSWER_IS_NO.match(shown) else 0), said
        assert pattern(shown).search(said), (command, said)


def test_the_server_of_the_page_starts_and_asks_for_its_token(clone: Path) -> None:
    (block,) = (block for block in blocks("operating", "console") if block.startswith(SERVES))
    command, _, shown = block.removeprefix("$ ").partition("\n")
    words = [program(), *shlex.split(command.replace("8700", "0"))[1:], "--home", str(clone / "home")]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = server.stderr.readline() + server.stderr.readline()
        assert pattern(shown.strip()).search(said)
        health = said.split()[-1].replace("/mcp", "/health")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(health, timeout=SECONDS)
        token = (clone / "tokens").read_text().split()[-1]
        asked = urllib.request.Request(health, headers={"authorization": f"Bearer {token}"})
        try:
            status = urllib.request.urlopen(asked, timeout=SECONDS).status
        except urllib.error.HTTPError as starting:
            status = starting.code
        assert status in {200, 503}
    finally:
        server.terminate()
        server.wait(SECONDS)


@pytest.mark.parametrize("name", ["authoring", "operating"])
def test_a_policy_of_a_page_is_one(name: str) -> None:
    for block in blocks(name, "yaml"):
        document = yaml.safe_load(block)
        if "telemetry" in document:
            continue
        text = yaml.safe_dump({"version": "2.0", "permissions": document["ceiling"]}) if "ceiling" in document else block
        assert load_policy(text, file="policy.yaml").permissions.storage.allow


def test_the_collector_of_the_operators_page_is_one_and_says_every_key() -> None:
    (block,) = (block for block in blocks("operating", "yaml") if "telemetry" in yaml.safe_load(block))
    said = read_text(block, file="sandbox.yaml").settings
    assert set(said) == {key for key in DEFAULTS if key.startswith("telemetry.")}
    assert said["telemetry.headers"].value == {"authorization": "otlp/token"}


def test_the_reference_of_policies_has_every_field_of_the_schema_and_no_other() -> None:
    block, shared = re.findall(r"^```yaml\n(version.*?)^```", (ROOT / "docs/policy.md").read_text(), re.MULTILINE | re.DOTALL)
    assert load_workflow(shared, file="team.yaml").components == ("collect", "render")
    assert load_policy(block, file="policy.yaml").permissions.resources
    assert set(written(yaml.safe_load(block))) == set(leaves(PolicyDocument))


def written(node: object, prefix: str = "") -> Iterator[str]:
    """The fields that a document writes, as a path without the numbers of lists."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from written(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(node, list) and any(isinstance(each, dict) for each in node):
        for each in node:
            yield from written(each, prefix)
    else:
        yield prefix


def test_the_python_of_the_authors_page_runs(tmp_path: Path) -> None:
    (block,) = blocks("authoring", "python")
    program_text = block.replace("/tmp/sandbox-authoring", str(tmp_path / "home"))
    environment = {"PATH": str(Path(program()).parent)}
    done = subprocess.run(
        [Path(program()).with_name("python"), "-c", program_text],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr


def test_the_wit_of_the_authors_page_is_a_components() -> None:
    (block,) = blocks("authoring", "wit")
    assert block in (ROOT / "components/notes/wit/world.wit").read_text()


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the command that these words begin with, and what is left of them."""
    parser: argparse.ArgumentParser = root()
    while groups := [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]:
        assert words[0] in groups[0].choices, words
        parser, words = groups[0].choices[words[0]], words[1:]
        if not words:
            break
    return parser, words


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_and_option_that_a_page_names_is_there(name: str) -> None:
    """Those between the lines too, which are not run."""
    for span in re.findall(r"(?<!`)`(sandbox [^`]+)`", PAGES[name].replace("\n", " ")):
        parser, words = parser_of(shlex.split(span)[1:])
        options = {option for action in parser._actions for option in action.option_strings}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= options, span


@pytest.mark.parametrize("name", GUIDES)
def test_a_link_of_a_page_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        path, _, heading = target.partition("#")
        found = ROOT / "docs" / path
        assert found.is_file(), target
        assert not heading or f"## {heading.replace('-', ' ')}" in found.read_text().lower()


def test_the_page_of_promises_names_every_attack_as_it_stands() -> None:
    """What is held stands among the promises or, as a limit of one, below; what is not yet held stands below alone."""
    index = yaml.safe_load((ROOT / "tests/attacks/index.yaml").read_text())
    promised, _, refused = PAGES["threats"].partition("## What is not promised")
    named = re.compile(r"\b[A-Z]{2,4}-\d\d\b")
    held = {each for each, entry in index.items() if "held" in entry}
    later = {each for each, entry in index.items() if "later" in entry}
    assert set(named.findall(promised)) <= held
    assert held <= set(named.findall(PAGES["threats"]))
    assert later <= set(named.findall(refused))


def test_the_layers_of_the_page_are_those_that_doctor_names(clone: Path) -> None:
    table = PAGES["threats"].partition("## The layers")[2]
    named = set(re.findall(r"`([a-z_]+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))))
    shown = {line.split()[0] for line in sandbox("doctor", folder=clone).stdout.splitlines()[1:]}
    assert named == shown
