"""How a document names secrets: what is refused when it is read, and what a ceiling makes of it."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.template.compile import CompiledPolicy, compile_template
from sandbox.template.difference import taken_away
from sandbox.wit.types import Digest
from tests.attacks.stage import policy

KEY = "key: API_KEY, secret: weather/api-key"
ADDED = 'credential: {secret: api/token, header: Authorization, format: "Bearer {secret}"}'
LINE = f"host: api.test, protocols: [https], {ADDED}"


def load(environment: str = "", network: str = "") -> PolicyDocument:
    return load_policy(policy(environment=environment, network=network), file="policy.yaml")


def compiled(document: PolicyDocument, ceiling: PolicyDocument | None = None) -> CompiledPolicy:
    return compile_template(
        document,
        digest=Digest("0" * 64),
        name="it",
        ceiling=ceiling,
        data_folder="/data",
        home="/home/me",
        host_environment={"API_KEY": "the host's"},
        protected=(),
        resolve=lambda path: path,
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("key: A, secret: ../x", "no secret's name"),
        ("key: A, secret: a b", "no secret's name"),
        ('key: A, secret: ""', "no secret's name"),
        ("key: A, secret: s, value: v", "has a `value` and a `secret`"),
        ('key: "A_*", secret: s', "stands for many variables"),
        ("key: A, secret: s\nkey: A, secret: t", "another value"),
        ("key: A, secret: s\nkey: A", "another value"),
        ("key: A\ndeny key: A, secret: s", "unknown key"),
    ],
)
def test_a_variable_that_cannot_have_a_secret_is_refused(environment: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        load(environment)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (f"host: api.test, {ADDED}", "over https alone"),
        (f"host: api.test, protocols: [http], {ADDED}", "over https alone"),
        (f"host: api.test, protocols: [https, http], {ADDED}", "over https alone"),
        (f'host: "*", protocols: [https], {ADDED}', "belongs to one host"),
        (f'host: "*.api.test", protocols: [https], {ADDED}', "belongs to one host"),
        (f"cidr: 10.0.0.0/8, ports: [443], protocols: [https], {ADDED}", "belongs to one host"),
        (LINE.replace("Authorization", "Host"), "belongs to the connection"),
        (LINE.replace("Authorization", "transfer-encoding"), "belongs to the connection"),
        (LINE.replace("Authorization", "X_HTTP_Method_Override"), "belongs to the connection"),
        (LINE.replace("Authorization", '"X Key"'), "no header's name"),
        (LINE.replace("Authorization", '"X:"'), "no header's name"),
        (LINE.replace("Bearer {secret}", "Bearer"), "does not hold `{secret}` once"),
        (LINE.replace("Bearer {secret}", "{secret}{secret}"), "does not hold `{secret}` once"),
        (LINE.replace("Bearer {secret}", "{secret}\\\\r\\\\nX: y"), "cannot be a header's value"),
        (LINE.replace("api/token", "$TOKEN"), "no secret's name"),
        (LINE.replace("header: Authorization, ", ""), "`header` is missing"),
        (LINE.replace("secret: api/token", "value: abc"), "unknown key"),
        (f"host: api.test, protocols: [https]\ndeny {LINE}", "unknown key"),
        (f"{LINE}\n{LINE.replace('api/token', 'other')}", "another credential in `Authorization` at policy.yaml:5:9"),
        (f"{LINE}\n{LINE.replace('api/token', 'other')}, methods: [GET]", "another credential"),
    ],
)
def test_a_credential_that_could_go_astray_is_refused(network: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        load(network=network.replace("\\\\r\\\\n", "\\r\\n"))
    assert said in str(refused.value)


def test_two_lines_that_tell_their_credentials_apart_are_taken() -> None:
    """By path, method or header; and a credential's line beside a wider one is no restriction that is none."""
    other = LINE.replace("api/token", "other")
    load(network=f'{LINE}, paths: ["/v1/**"]\n{other}, paths: ["/v2/**"]')
    load(network=f"{LINE}\n{other.replace('Authorization', 'X-Key')}")
    load(network=f'{LINE}, paths: ["/v1/**"]\nhost: "*", protocols: [https]')


def test_a_ceiling_that_names_a_secret_allows_that_one_and_no_other() -> None:
    """One that names none leaves it to the document, which the operator has read and accepted."""
    mine, others = load(KEY), load(KEY.replace("weather/", "mail/"))
    for ceiling in (load(KEY), load('key: "API_*"')):
        (rule,) = compiled(mine, ceiling).template.environment
        assert rule.secret == "weather/api-key"
    for document in (others, load("key: API_KEY"), load("key: API_KEY, value: x")):
        assert compiled(document, load(KEY)).template.environment == ()
    (rule,) = compiled(load(network=LINE), load(network="host: api.test, protocols: [https]")).template.network
    assert rule.credential is not None
    assert compiled(load(network=LINE), load(network=LINE)).template.network == (rule,)
    with pytest.raises(PolicyError, match="outside the ceiling"):
        compiled(load(network=LINE.replace("api/token", "other")), load(network=LINE))
    (rule,) = compiled(load(network="host: api.test, protocols: [https]"), load(network=LINE)).template.network
    assert rule.credential is None


def test_no_template_holds_a_value_and_a_changed_secret_is_a_changed_permission() -> None:
    """A running call that holds what a new document no longer gives is stopped."""
    both, plain = (
        compiled(load(KEY, LINE)).template,
        compiled(load("key: API_KEY", "host: api.test, protocols: [https]")).template,
    )
    assert "the host's" not in repr(both)
    lost = taken_away(both, plain)
    assert (lost.environment, lost.network) == (True, True)
    assert not taken_away(both, both)
    assert taken_away(both, compiled(load(KEY.replace("weather/", "mail/"), LINE)).template).environment
    assert taken_away(both, compiled(load(KEY, LINE.replace("api/token", "other"))).template).network


def test_each_line_says_what_it_does_and_who_keeps_the_value() -> None:
    notes = {note.line: note.enforced_by for note in compiled(load(KEY, LINE)).notes}
    assert "no record holds the value" in notes["allow API_KEY, the secret weather/api-key"]
    (line,) = [line for line in notes if "api/token" in line]
    assert line == "allow https api.test, port 443, with the secret api/token in Authorization"
    assert "the guest never has the value" in notes[line]
