"""Which layer wins, what a project may say, and that no layer widens the operator's ceiling: judged by a component's template."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.config import Configuration, Flags, Places, find_places, load_configuration
from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.state.home import Home
from sandbox.state.secrets import SecretStore
from sandbox.template.compile import compile_template
from sandbox.template.explain import explain_environment, explain_file, explain_url
from sandbox.template.template import Access, WasiTemplate
from sandbox.wit.types import Digest
from tests.attacks.stage import policy, staged
from tests.support.commands import sandbox
from tests.support.guests import guest

Write = Callable[..., Places]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Files of these texts: `write(operator=…, project=…)`."""

    def make(**texts: str) -> Places:
        found: dict[str, Path] = {}
        for name, text in texts.items():
            found[name] = tmp_path / name / "sandbox.yaml"
            found[name].parent.mkdir(exist_ok=True)
            found[name].write_text(text)
        return Places(tmp_path, found.get("operator"), found.get("project"))

    return make


def value(configuration: Configuration, key: str) -> tuple[object, str]:
    """A setting's value, and the last part of where it comes from."""
    (found,) = (one for one in configuration.settings if one.key == key)
    return found.value, "/".join(found.origin.rsplit("/", 2)[1:]) or found.origin


# Where the files are.


def test_the_first_that_is_named_is_the_operators(tmp_path: Path) -> None:
    """`--config`, then the variable, then the user's folder; who names one means that one, there or not."""
    users = tmp_path / "sandbox" / "sandbox.yaml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SANDBOX_CONFIG": "/by/variable.yaml"}
    assert find_places(Path("/by/flag.yaml"), environ, tmp_path).operator == Path("/by/flag.yaml")
    assert find_places(None, environ, tmp_path).operator == Path("/by/variable.yaml")
    del environ["SANDBOX_CONFIG"]
    assert find_places(None, environ, tmp_path) == Places(users)
    users.parent.mkdir()
    users.write_text("isolation: strict\n")
    assert find_places(None, environ, tmp_path).operator == users


def test_a_file_in_the_folder_of_the_command_is_the_projects_unless_it_is_the_operators(tmp_path: Path) -> None:
    file = tmp_path / "sandbox.yaml"
    file.write_text("workers: {max: 2}\n")
    assert find_places(None, {"XDG_CONFIG_HOME": "/nowhere"}, tmp_path).project == file
    assert find_places(file, {"XDG_CONFIG_HOME": "/nowhere"}, tmp_path).project is None


# Which value holds.


def test_flags_win_over_variables_and_variables_over_the_file(write: Write) -> None:
    places = write(operator="isolation: default\nworkers: {max: 8, spares: 1}\n")
    environ = {"SANDBOX_ISOLATION": "default", "SANDBOX_WORKERS_MAX": "5"}
    found = load_configuration(places, environ, Flags(isolation="strict"))
    assert value(found, "isolation") == ("strict", "--isolation")
    assert value(found, "workers.max") == (5, "$SANDBOX_WORKERS_MAX")
    assert value(found, "workers.spares") == (1, "operator/sandbox.yaml:2:27")
    assert value(found, "state") == ("sqlite", "default")
    assert load_configuration(places, environ).isolation == "default"


@pytest.mark.parametrize(
    ("environ", "flags", "origin"),
    [({"SANDBOX_ISOLATION": "default"}, Flags(), "$SANDBOX_ISOLATION"), ({}, Flags(isolation="default"), "--isolation")],
)
def test_nothing_takes_back_the_isolation_of_the_operators_file(
    write: Write, environ: dict[str, str], flags: Flags, origin: str
) -> None:
    found = load_configuration(write(operator="isolation: strict\n"), environ, flags)
    assert value(found, "isolation") == ("strict", "operator/sandbox.yaml:1:12")
    (warning,) = found.warnings
    assert warning == f"{origin}: `isolation: default` loosens nothing: strict holds ({found.files[0]}:1:12)"


def test_policies_are_found_beside_the_file_that_names_them(write: Write, tmp_path: Path) -> None:
    """By name, or as a file: a path with a folder or an ending."""
    places = write(operator='defaults: {"time": read-only, "w-*": weather.yaml, "*": ../deny.yaml}\n')
    operator = tmp_path / "operator"
    expected = {"time": "read-only", "w-*": operator / "weather.yaml", "*": operator / ".." / "deny.yaml"}
    assert load_configuration(places, {}).defaults == expected
    with pytest.raises(PolicyError, match="did you mean `read-only`"):
        load_configuration(write(operator='defaults: {"time": readonly}\n'), {})


# What a project may say.


@pytest.mark.parametrize(
    "text",
    ['defaults: {"*": workspace}', "auth: {token_file: /t}", "auth: {token_variable: T}", "state: sqlite"],
)
def test_a_project_cannot_accept_a_policy_or_name_a_token(write: Write, text: str) -> None:
    """Whoever cloned a repository has not read its `sandbox.yaml`."""
    with pytest.raises(PolicyError, match="can only narrow"):
        load_configuration(write(project=f"{text}\n"), {})


def test_a_project_takes_away_and_what_would_add_is_told_and_not_done(write: Write) -> None:
    wide = "isolation: default\nworkers: {max: 99, spares: 60}\ngrants: {lasting_in_client: true}\n"
    narrow = "isolation: strict\nworkers: {max: 2, spares: 0}\ngrants: {lasting_in_client: false}\n"
    operator = "workers: {max: 8}\ngrants: {lasting_in_client: true}\nisolation: default\n"
    found = load_configuration(write(operator=operator, project=narrow), {})
    assert (found.isolation, found.max_workers, found.spares, found.lasting_in_client) == ("strict", 2, 0, False)
    assert not found.warnings
    found = load_configuration(write(operator=operator.replace("default", "strict"), project=wide), {})
    assert (found.isolation, found.max_workers, found.spares, found.lasting_in_client) == ("strict", 8, 2, True)
    assert [text.partition("`")[2].partition(":")[0] for text in found.warnings] == ["isolation", "workers.max", "workers.spares"]


# No layer widens the operator's ceiling.

OPERATOR = """\
ceiling:
  storage:
    allow: [{uri: "fs:///srv/**", access: [read]}]
    deny: [{uri: "fs:///srv/private/**"}]
  network: {allow: [{host: "*.example.com", protocols: [https]}]}
  environment: {allow: [{key: "APP_*"}], deny: [{key: APP_ADMIN}]}
  resources: {limits: {memory: 64Mi, open_files: 32}}
"""
WIDE = OPERATOR.replace("/srv/**", "/**").replace("[read]", "[read, write, create]").replace("*.example.com", "*")
WIDE = (
    WIDE.replace("APP_*", "*")
    .replace("64Mi", "512Mi")
    .replace("fs:///**", 'fs:///srv/**", access: [read, write]}, {uri: "fs:///etc/**')
)
DOCUMENT = policy('uri: "fs:///srv/data/**", access: [read]', "host: a.example.com, protocols: [https]", "key: APP_MODE")


def ceiling_file(tmp_path: Path, text: str) -> Path:
    """The ceiling of a configuration as the policy document that `--ceiling` takes."""
    path = tmp_path / "ceiling.yaml"
    path.write_text('version: "2.0"\n' + text.replace("ceiling:", "permissions:", 1))
    return path


def template(configuration: Configuration, document: str) -> WasiTemplate:
    """What a component gets of a document here."""
    return compile_template(
        load_policy(document, file="policy.yaml"),
        digest=Digest("0" * 64),
        name="it",
        ceiling=configuration.ceiling,
        data_folder="/data/it",
        home="/home/me",
        host_environment={"APP_MODE": "x", "APP_ADMIN": "x", "OTHER": "x"},
        protected=(),
        resolve=lambda path: path,
    ).template


BEYOND = (
    policy('uri: "fs:///etc/**", access: [read]'),
    policy(network="host: evil.test, protocols: [https]"),
    policy(network="host: a.example.com, protocols: [http]"),
    policy(limits="memory: 128Mi"),
    policy(limits="open_files: 64"),
)


@pytest.mark.parametrize("layer", ["project", "variable", "flag"])
def test_no_layer_widens_the_operators_ceiling(write: Write, tmp_path: Path, layer: str) -> None:
    """A project, a variable and a flag that would give everything give what the operator's file gives, and no more."""
    places = write(operator=OPERATOR, **({"project": WIDE} if layer == "project" else {}))
    file = ceiling_file(tmp_path, WIDE)
    environ = {"SANDBOX_CEILING": str(file)} if layer == "variable" else {}
    found = load_configuration(places, environ, Flags(ceiling=file if layer == "flag" else None))
    for document in BEYOND:
        with pytest.raises(PolicyError, match="ceiling"):
            template(found, document)
    given = template(found, DOCUMENT.replace("[read]", "[read, write]").replace("APP_MODE", '"*"'))
    assert explain_file(given, "/srv/data/x", Access.READ).allowed
    assert not explain_file(given, "/srv/data/x", Access.WRITE).allowed
    assert not explain_file(given, "/srv/private/x", Access.READ).allowed
    assert explain_url(given, "https://a.example.com/").allowed
    assert [name for name in ("APP_MODE", "APP_ADMIN", "OTHER") if explain_environment(given, name).allowed] == ["APP_MODE"]
    assert given.limits.memory_bytes == 64 << 20


def test_a_project_narrows_the_operators_ceiling(write: Write) -> None:
    """What both give holds, each deny of either, the lower of two limits."""
    project = """\
ceiling:
  storage: {allow: [{uri: "fs:///srv/data/**", access: [read, write]}], deny: [{uri: "fs:///srv/data/old/**"}]}
  network: {allow: [{host: a.example.com, methods: [GET]}, {host: elsewhere.test}]}
  resources: {limits: {memory: 256Mi, open_files: 16}}
"""
    found = load_configuration(write(operator=OPERATOR, project=project), {})
    given = template(found, policy('uri: "fs:///srv/**", access: [read, write]', "host: a.example.com, protocols: [https]"))
    readable = ("/srv/data/x", "/srv/other/x", "/srv/data/old/x", "/srv/private/x")
    assert [path for path in readable if explain_file(given, path, Access.READ).allowed] == ["/srv/data/x"]
    assert not explain_file(given, "/srv/data/x", Access.WRITE).allowed
    assert explain_url(given, "https://a.example.com/").allowed
    assert not explain_url(given, "https://a.example.com/", "POST").allowed
    assert (given.limits.memory_bytes, given.limits.open_files) == (64 << 20, 16)
    assert not explain_environment(template(found, policy(environment="key: APP_MODE")), "APP_MODE").allowed
    with pytest.raises(PolicyError, match="outside the ceiling"):
        template(found, policy(network="host: elsewhere.test, protocols: [https]"))


def test_a_ceiling_under_others_is_another_ceiling() -> None:
    """Templates are kept by its digest: what was compiled under one of the two must not hold under the other."""
    one, other = (load_policy(policy(limits=f"memory: {size}"), file="c.yaml") for size in ("32Mi", "64Mi"))
    assert one.digest != one.under(other).digest
    assert one.under(other).digest == one.under(other).digest
    limits = [each.permissions.resources.limits.memory for each in one.under(other.under(one)).ceilings]
    assert limits == ["32Mi", "64Mi", "32Mi"]


# Commands and hosts use it.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration home and a project of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "sandbox").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def test_config_show_says_where_each_value_comes_from(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = here / "config" / "sandbox" / "sandbox.yaml"
    users.write_text("workers: {max: 8}\nceiling: {resources: {limits: {memory: 64Mi}}}\n")
    (here / "project" / "sandbox.yaml").write_text("workers: {max: 4}\nceiling: {resources: {limits: {open_files: 8}}}\n")
    monkeypatch.setenv("SANDBOX_WORKERS_SPARES", "0")
    shown = json.loads(sandbox("config", "show", "--json").stdout)
    origins = {one["key"]: (one["value"], one["origin"]) for one in shown["settings"]}
    assert origins["workers.max"] == (4, f"{here}/project/sandbox.yaml:1:16")
    assert origins["workers.spares"] == (0, "$SANDBOX_WORKERS_SPARES")
    assert origins["isolation"] == ("default", "default")
    assert [(one["line"], one["origin"].rsplit("/", 2)[1]) for one in shown["ceiling"]] == [
        ({"open_files": 8}, "project"),
        ({"memory": "64Mi"}, "sandbox"),
    ]
    plain = sandbox("config", "show").stdout
    assert "workers.max" in plain
    assert f"{here}/project/sandbox.yaml:1:16" in plain
    assert sandbox("config", "path").stdout.strip() == str(users)
    assert json.loads(sandbox("config", "path", "--json").stdout)["project"] == f"{here}/project/sandbox.yaml"
    assert sandbox("config", "check").returncode == 0


def test_a_broken_file_stops_the_commands_that_it_holds_for(here: Path) -> None:
    """Fail closed: a ceiling that cannot be read is not no ceiling."""
    (here / "config" / "sandbox" / "sandbox.yaml").write_text("ceiling: {netwrok: {}}\n")
    (here / "home").mkdir(mode=0o700, exist_ok=True)
    tools = ("tool", "list", str(guest("traps")))
    for words in (("config", "check"), ("config", "show"), ("permission", "list"), tools, ("doctor",)):
        done = sandbox(*words, folder=here)
        assert (done.returncode, "did you mean `network`?" in done.stderr) == (3, True), words
    fine = here / "fine.yaml"
    fine.write_text("workers: {max: 2}\n")
    assert sandbox("config", "check", str(fine)).stdout == f"ok: {fine}\n"


def test_a_tool_runs_inside_the_configured_ceiling_and_by_the_configured_policy(here: Path) -> None:
    """`defaults` is the operator's acceptance for who has none; the ceiling holds for it as for any other."""
    (here / "config" / "sandbox" / "own.yaml").write_text(
        policy(
            f'uri: "fs://{here}/project/**", access: [read], mount: /w\nuri: "fs://{here}/other/**", access: [read], mount: /o'
        )
    )
    (here / "other").mkdir()
    for name in ("project", "other"):
        (here / name / "x").write_text("content")
    users = here / "config" / "sandbox" / "sandbox.yaml"
    users.write_text('defaults: {"escape_*": own.yaml}\n')
    call = ("tool", "call", str(guest("escape_traversal")), "escape_traversal__open-each", 'paths=["x"]')
    for mount in ("/w", "/o"):
        assert "read: content" in sandbox(*call, f"mount={mount}", folder=here).stdout
    ceiling = f'{{storage: {{allow: [{{uri: "fs://{here}/other/**", access: [read]}}]}}}}'
    users.write_text(f'defaults: {{"escape_*": own.yaml}}\nceiling: {ceiling}\n')
    done = sandbox(*call, "mount=/o", folder=here)
    assert (done.returncode, "content" in done.stdout) == (3, False)
    assert "outside the ceiling" in done.stderr


def test_a_grant_above_the_configured_ceiling_is_refused(here: Path) -> None:
    (here / "config" / "sandbox" / "sandbox.yaml").write_text("ceiling: {network: {allow: [{host: a.test}]}}\n")
    assert sandbox("tool", "list", str(guest("traps")), folder=here).returncode == 0
    done = sandbox("permission", "grant", "traps", "network", "b.test", folder=here)
    assert (done.returncode, "outside the ceiling" in done.stderr) == (3, True)
    assert sandbox("permission", "grant", "traps", "network", "a.test", folder=here).returncode == 0


async def test_no_policy_may_name_the_configuration_the_key_or_the_tokens(here: Path) -> None:
    """Who could write there would write its own ceiling, and who could read there would have every secret."""
    key, tokens = here / "elsewhere" / "key", here / "tokens" / "of-serve"
    environment = {**os.environ, "SANDBOX_SECRETS_KEY": str(key)}
    SecretStore.of(Home.open(here / "home", environment), environment).set("name", "value", 1.0)
    tokens.parent.mkdir()
    tokens.write_text("token")
    async with staged(here, environment=environment, own_files=[tokens]) as stage:
        for folder in (here / "config", here / "config" / "sandbox", key.parent, tokens.parent, tokens, key):
            with pytest.raises(PolicyError, match="the host's own"):
                await stage.load(
                    "escape_symlink", policy(f'uri: "fs://{folder}{"/**" if folder.is_dir() else ""}", access: [read]')
                )


def test_no_policy_may_name_the_file_of_anothers_default(here: Path) -> None:
    """Who could write there would give the components that run by it whatever it likes."""
    (here / "shared").mkdir()
    (here / "shared" / "default.yaml").write_text('version: "2.0"\n')
    (here / "config" / "sandbox" / "sandbox.yaml").write_text(f'defaults: {{"other": {here}/shared/default.yaml}}\n')
    own = here / "own.yaml"
    own.write_text(policy(f'uri: "fs://{here}/shared/**", access: [read, write]'))
    done = sandbox("tool", "list", str(guest("traps")), "--policy", str(own), folder=here)
    assert (done.returncode, "the host's own" in done.stderr) == (3, True), done.stderr
