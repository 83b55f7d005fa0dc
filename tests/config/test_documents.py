"""`sandbox.yaml` is read as strictly as a policy: every problem at once, with its place and what to write instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.config import Flags, Places, load_configuration
from sandbox.config.models import NOT_YET
from sandbox.config.read import read_file, read_text
from sandbox.config.settings import DEFAULTS
from sandbox.config.telemetry import Collector
from sandbox.config.variables import read_variables, twin
from sandbox.errors import PolicyError

NOWHERE = Places(Path("/nowhere/sandbox.yaml"))


def problems(text: str | bytes) -> list[str]:
    """What is wrong with a configuration, `line:column: path: message` each."""
    with pytest.raises(PolicyError) as refused:
        read_text(text, file="sandbox.yaml")
    return [str(problem).partition("\n")[0].removeprefix("sandbox.yaml:") for problem in refused.value.problems]


def helps(text: str) -> list[str | None]:
    with pytest.raises(PolicyError) as refused:
        read_text(text, file="sandbox.yaml")
    return [problem.help for problem in refused.value.problems]


@pytest.mark.parametrize("key", NOT_YET)
def test_what_is_not_built_is_refused_by_name(key: str) -> None:
    """Accepted and ignored, it would read like protection."""
    (problem,) = problems(f"isolation: strict\n{key}: something\n")
    assert problem.startswith(f"2:1: {key}: `{key}` is not enforced yet: ")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("isolaton: strict", "1:1: isolaton", "unknown key"),
        ("isolation: none", "1:12: isolation", "is no isolation"),
        ("isolation: [strict]", "1:12: isolation", "a list stands"),
        ("state: redis://me:pw@here", "1:8: state", "a password is written"),
        ("workers: 3", "1:10: workers", "a mapping is meant"),
        ("workers: {max: 0}", "1:16: workers.max", "no limit"),
        ("workers: {max: 0x10}", "1:16: workers.max", "no plain whole number"),
        ('workers: {max: "8"}', "1:16: workers.max", "whole number is meant"),
        ("workers: {spares: -1}", "1:19: workers.spares", "greater than or equal to 0"),
        ("grants: {lasting_in_client: 1}", "1:29: grants.lasting_in_client", "neither yes nor no"),
        ("auth: {token_file: token}", "1:20: auth.token_file", "no absolute path"),
        ("auth: {token_variable: a-token-of-mine}", "1:24: auth.token_variable", "no variable's name"),
        ("auth: {token_file: /t, token_variable: T}", "1:7: auth", "from a file and from a variable"),
        ("proxy: http://proxy.example:3128", "1:8: proxy", "a mapping is meant"),
        ("proxy: {url: proxy.example}", "1:14: proxy.url", "no proxy that this host speaks to"),
        ("proxy: {url: http://proxy.example}", "1:14: proxy.url", "no host and port"),
        ("proxy: {url: http://proxy.example:3128/x}", "1:14: proxy.url", "no host and port"),
        ("proxy: {url: http://me:word@proxy.example:3128}", "1:14: proxy.url", "holds a name or a password"),
        ("proxy: {url: http://proxy.example:99999}", "1:14: proxy.url", "is no URL"),
        ("proxy: {direct: [10.0.0.0/8, '*']}", "1:30: proxy.direct[1]", "leaves nothing to the proxy"),
        ("proxy: {names: here}", "1:16: proxy.names", "nobody who looks names up"),
        ("proxy: {secret: 'a b'}", "1:17: proxy.secret", "no secret's name"),
        ("telemetry: {endpoint: collector.example}", "1:23: telemetry.endpoint", "is no collector's address"),
        ("telemetry: {endpoint: grpc://collector.example}", "1:23: telemetry.endpoint", "is no collector's address"),
        ("telemetry: {endpoint: https://me:word@collector.example}", "1:23: telemetry.endpoint", "holds a name or a password"),
        ("telemetry: {endpoint: https://c.example/v1/traces}", "1:23: telemetry.endpoint", "more than where the collector is"),
        ("telemetry: {headers: {'a b': otlp}}", "1:30: telemetry.headers.a b", "is no header's name"),
        ("telemetry: {headers: {Host: otlp}}", "1:29: telemetry.headers.Host", "is this host's own to say"),
        ("telemetry: {headers: {authorization: 'Bearer x'}}", "1:38: telemetry.headers.authorization", "no secret's name"),
        ("telemetry: {sample: 2}", "1:21: telemetry.sample", "no share of all calls"),
        ("telemetry: {records: 1}", "1:22: telemetry.records", "neither yes nor no"),
        ("approvals: {wait: 30}", "1:19: approvals.wait", "30"),
        ("approvals: {webhook: {url: https://a.example/x}}", "1:22: approvals.webhook.secret", "is missing"),
        ("approvals: {webhook: {secret: a/b, url: http://a.example}}", "1:41: approvals.webhook.url", "tell others on the way"),
        ("approvals: {webhook: {secret: a/b, url: https://a:b@a.example}}", "1:41: approvals.webhook.url", "a password"),
        ("approvals: {webhook: {secret: a/b, url: a.example}}", "1:41: approvals.webhook.url", "no place to post to"),
        ("approvals: {webhook: {secret: a b, url: https://a.example}}", "1:31: approvals.webhook.secret", "no secret's name"),
        ("approvals: {webhook: {secret: a, url: https://a.example, arguments: 1}}", "1:69: approvals.webhook.arguments", "yes"),
        ("budgets: x", "1:10: budgets", "a mapping is meant"),
        ("budgets: {users: {a: {max_cots: 1}}}", "1:23: budgets.users.a.max_cots", "unknown key"),
        ("budgets: {default_user: {max_cost: 1e-7}}", "1:36: budgets.default_user.max_cost", "finer than this host counts"),
        ("budgets: {default_user: {max_cost: -1}}", "1:36: budgets.default_user.max_cost", "no amount of money"),
        ("budgets: {default_user: {max_requests: 1.5}}", "1:40: budgets.default_user.max_requests", "no count"),
        ("budgets: {default_user: {max_requests: 1, period: year}}", "1:51: budgets.default_user.period", "no period"),
        ("budgets: {default_user: {period: day}}", "1:25: budgets.default_user", "limits nothing"),
        ("budgets: {global: {max_egress_bytes: 1000}}", "1:38: budgets.global.max_egress_bytes", "text is meant"),
        ("budgets: {runs: {default: {max_cost: 1, period: day}}}", "1:10: budgets", "does not begin anew"),
        ("budgets: {circuit_breaker: {failures: 0}}", "1:39: budgets.circuit_breaker.failures", "greater than or equal to 1"),
        ("auth: {tokens: abc}", "1:8: auth.tokens", "unknown key"),
        ('defaults: {"wasi:http/proxy": deny-all}', "1:31: defaults.wasi:http/proxy", "names a world"),
        ('defaults: {"a b": deny-all}', "1:19: defaults.a b", "no component's name"),
        ("defaults: [deny-all]", "1:11: defaults", "a mapping is meant"),
        ("workers:", "1:9: workers", "nothing stands here"),
        ("isolation: strict\nisolation: default", "2:1: isolation", "twice"),
        ("isolation: &a strict", "1:12: isolation", "anchor"),
        ("workers: !!map {max: 2}", "1:10: workers", "tag"),
        ("ceiling: {network: {allow: [{host: 'a b'}]}}", "1:36: ceiling.network.allow[0].host", "`a b`"),
        ("ceiling: {netwrok: {}}", "1:11: ceiling.netwrok", "unknown key"),
        ("ceiling: {storage: {allow: [{uri: 'fs:///proc/**', access: [read]}]}}", "1:29: ceiling.storage.allow[0]", "kernel"),
        ("ceiling: [a]", "1:10: ceiling", "a mapping is meant"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, place: str, said: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"{place}: ")
    assert said in problem


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    """Those of the ceiling among them, with their places in this file."""
    text = "ceiling:\n  network: {allow: [{hst: a}]}\nbudgets: x\nworkers: {max: 0, spars: 1}\nauth: {token_file: x}\n"
    found = [problem.partition(" ")[0] for problem in problems(text)]
    assert found == ["2:22:", "3:10:", "4:16:", "4:19:", "5:20:"]
    assert "did you mean `host`?" in helps(text)
    assert "did you mean `spares`?" in helps(text)


@pytest.mark.parametrize(
    "text", ["", "just text", "[a]", "a: b: c", "x: *a", "---\na: 1\n---\nb: 1", b"\xef\xbb\xbfisolation: strict", b"\xff"]
)
def test_a_text_that_is_no_configuration_is_refused(text: str | bytes) -> None:
    assert problems(text)


def test_more_than_a_policys_size_is_refused() -> None:
    assert "more than the" in problems("# " + "x" * (256 << 10))[0]


def test_a_file_that_others_may_change_is_refused(tmp_path: Path) -> None:
    """POL-07: the operator's word must be the operator's."""
    path = tmp_path / "sandbox.yaml"
    path.write_text("isolation: strict\n")
    assert read_file(path).settings["isolation"].value == "strict"
    path.chmod(0o666)
    with pytest.raises(PolicyError, match="may write the file"):
        read_file(path)
    path.chmod(0o600)
    os.link(path, tmp_path / "second")
    with pytest.raises(PolicyError, match="second name"):
        read_file(path)
    (tmp_path / "link.yaml").symlink_to(path)
    with pytest.raises(PolicyError, match="symlink"):
        read_file(tmp_path / "link.yaml")


def test_a_file_that_is_named_must_be_there() -> None:
    with pytest.raises(PolicyError, match="no such file"):
        load_configuration(Places(Path("/x"), operator=Path("/nowhere/sandbox.yaml")), {})


# The environment's twins.


def test_every_key_has_a_twin() -> None:
    """Each is read, and says that it is where the value comes from."""
    texts = {
        "defaults": '{"x-*": deny-all}',
        "state": "sqlite",
        "admission": "audit",
        "budgets": "{default_user: {max_cost: 0.5, period: day}}",
        "isolation": "strict",
        "workers.max": "3",
        "workers.spares": "0",
        "grants.lasting_in_client": "true",
        "auth.token_file": "/tmp/tokens: 'a'",
        "auth.token_variable": "TOKENS",
        "auth.oauth": "{issuer: https://a.example, audience: https://b.example/mcp}",
        "proxy.url": "http://proxy.example:3128",
        "proxy.secret": "corp/proxy",
        "proxy.direct": "[10.0.0.0/8]",
        "proxy.names": "proxy",
        "telemetry.endpoint": "https://collector.example:4318",
        "telemetry.headers": "{authorization: otlp/token}",
        "telemetry.sample": "0.25",
        "telemetry.records": "true",
        "approvals.wait": "30s",
        "approvals.webhook": "{url: https://chat.example/in, secret: approvals/key, arguments: true}",
    }
    assert set(texts) == set(DEFAULTS)
    for key, text in texts.items():
        configuration = load_configuration(NOWHERE, {twin(key): text})
        (found,) = (one for one in configuration.settings if one.key == key)
        assert found.origin == f"${twin(key)}"
        assert found.value == {
            "defaults": {"x-*": "deny-all"},
            "budgets": {"default_user": {"max_cost": "0.5", "period": "day"}},
            "auth.oauth": {"issuer": "https://a.example", "audience": "https://b.example/mcp"},
            "workers.max": 3,
            "workers.spares": 0,
            "proxy.direct": ("10.0.0.0/8",),
            "telemetry.headers": {"authorization": "otlp/token"},
            "telemetry.sample": 0.25,
            "approvals.webhook": {"url": "https://chat.example/in", "secret": "approvals/key", "arguments": True},
        }.get(key, True if text == "true" else text)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("SANDBOX_ISOLATION", "none", "isolation: `none` is no isolation"),
        ("SANDBOX_WORKERS_MAX", "many", "workers.max: `many` stands where a whole number is meant"),
        ("SANDBOX_WORKERS_MAX", "[1", "this is no YAML"),
        ("SANDBOX_DEFAULTS", "deny-all", "a mapping is meant"),
        ("SANDBOX_DEFAULTS", '{"x": no-such-policy}', "there is no policy named"),
        ("SANDBOX_STATE", "redis://me:secret@x", "a password is written in the URL"),
        ("SANDBOX_ADMISSION", "x", "there is no admission document named"),
        ("SANDBOX_TRUSTED_KEYS", "x", "is not enforced yet"),
        ("SANDBOX_PROXY_URL", "https://proxy.example:3128", "is no proxy that this host speaks to"),
        ("SANDBOX_ISOLATON", "strict", "did you mean `SANDBOX_ISOLATION`?"),
        ("SANDBOX_WORKER_MAX", "3", "did you mean `SANDBOX_WORKERS_MAX`?"),
    ],
)
def test_a_variable_that_cannot_hold_is_refused_by_its_name(name: str, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        load_configuration(NOWHERE, {name: text})
    assert said in str(refused.value)
    assert name in str(refused.value)


def test_a_variable_that_is_empty_or_somebody_elses_says_nothing() -> None:
    assert (
        read_variables({"SANDBOX_ISOLATION": "", "SANDBOX_ROW_A": "x", "SANDBOX_HOME": "/x", "SANDBOX_TOKEN": "t"}).settings == {}
    )


def test_two_sources_of_tokens_are_refused_and_a_later_layer_takes_the_place_of_an_earlier(tmp_path: Path) -> None:
    both = {"SANDBOX_AUTH_TOKEN_FILE": "/t", "SANDBOX_AUTH_TOKEN_VARIABLE": "T"}
    with pytest.raises(PolicyError, match="both set"):
        load_configuration(NOWHERE, both)
    (tmp_path / "sandbox.yaml").write_text("auth: {token_file: /from/the/file}\n")
    places = Places(tmp_path, operator=tmp_path / "sandbox.yaml")
    found = load_configuration(places, {"SANDBOX_AUTH_TOKEN_VARIABLE": "T"})
    assert (found.token_file, found.token_variable) == (None, "T")


def test_the_problems_of_every_layer_come_together(tmp_path: Path) -> None:
    for name in ("operator", "project"):
        (tmp_path / f"{name}.yaml").write_text("isolation: none\n")
    places = Places(tmp_path, operator=tmp_path / "operator.yaml", project=tmp_path / "project.yaml")
    with pytest.raises(PolicyError) as refused:
        load_configuration(places, {"SANDBOX_WORKERS_MAX": "0"}, Flags(ceiling=Path("/nowhere")))
    assert [problem.where.rsplit("/", 1)[-1].partition(":")[0] for problem in refused.value.problems] == [
        "operator.yaml",
        "project.yaml",
        "$SANDBOX_WORKERS_MAX",
        "nowhere",
    ]


def test_a_misspelled_ceiling_is_told_what_it_was_meant_to_be() -> None:
    assert helps("celing: {}") == ["did you mean `ceiling`?"]


@pytest.mark.parametrize("endpoint", ["http://collector.example:4318", "http://192.0.2.7:4318"])
def test_no_secret_goes_to_a_collector_in_the_clear(endpoint: str) -> None:
    """Whoever names the place: here the variable, where the headers are the file's."""
    given = {"SANDBOX_TELEMETRY_ENDPOINT": endpoint, "SANDBOX_TELEMETRY_HEADERS": "{authorization: otlp/token}"}
    with pytest.raises(PolicyError, match="everybody on the way could read them"):
        load_configuration(NOWHERE, given)
    told = load_configuration(NOWHERE, {**given, "SANDBOX_TELEMETRY_ENDPOINT": "http://127.0.0.1:4318/"}).telemetry
    assert told == Collector("http://127.0.0.1:4318", (("authorization", "otlp/token"),))


def test_no_variable_of_opentelemetrys_opens_a_way_out() -> None:
    inherited = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://elsewhere.example", "OTEL_TRACES_EXPORTER": "otlp"}
    assert load_configuration(NOWHERE, inherited).telemetry is None
