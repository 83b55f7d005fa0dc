"""`scope: workflow`: the document for several components is read as strictly as a policy, and says where each problem is."""

from __future__ import annotations

import pytest

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.workflow import load_workflow

HEAD = 'version: "2.0"\nscope: workflow\ncomponents: [a, b]\n'
LINE = "{uri: fs:///srv/shared/**, access: [read]}"


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_workflow(text, file="w.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_bare_list_of_storage_means_allow() -> None:
    bare, long = (
        load_workflow(f"{HEAD}shared_permissions: {{storage: {storage}}}\n", file="w.yaml")
        for storage in (f"[{LINE}]", f"{{allow: [{LINE}]}}")
    )
    assert bare.components == ("a", "b")
    assert [(kind, effect, entry.plain()) for kind, effect, entry in bare.entries()] == [
        ("storage", "allow", {"uri": "fs:///srv/shared/**", "access": ["read"]})
    ]
    assert [entry.plain() for _, _, entry in bare.entries()] == [entry.plain() for _, _, entry in long.entries()]


def test_a_line_knows_its_place() -> None:
    workflow = load_workflow(f"{HEAD}shared_permissions:\n  storage:\n    - {LINE}\n", file="w.yaml")
    assert [entry.origin for _, _, entry in workflow.entries()] == ["w.yaml:6:7"]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "w.yaml:1:1: `shared_permissions` is missing"),
        ("shared_permissions: {}", "w.yaml:4:21: shared_permissions: `shared_permissions` gives nothing"),
        ("shared_permissions: {storage: [{uri: fs:///srv, access: [raed]}]}", "shared_permissions.storage[0].access[0]: `raed`"),
        ("shared_permissions: {storage: {alow: []}}", "did you mean `allow`?"),
        ("shared_permissions: {storage: [{uri: fs:///proc/x, access: [read]}]}", "shared_permissions.storage[0]"),
        ("shared_permissions: {storage: [{uri: fs://x/**, access: [read]}]}", "in a component's own data folder"),
        ("shared_permissions: {storage: {ask: [{uri: fs:///a/**, access: [read]}]}}", "`ask` asks for one component"),
        ("shared_permissions: {resources: {limits: {cpu: 500m}}}", "limits cannot be shared"),
        (
            "shared_permissions: {network: {allow: [{host: a.example, protocols: [https], credential: {secret: s, header: X}}]}}",
            "a secret is given to one component",
        ),
        ("shared_permissions: {environment: {allow: [{key: A, secret: s}]}}", "a secret is given to one component"),
        ("permissions: {}\nshared_permissions: {storage: []}", "unknown key `permissions`"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_its_place(rest: str, said: str) -> None:
    assert said in "\n".join(problems(f"{HEAD}{rest}\n"))


@pytest.mark.parametrize(
    ("components", "said"),
    [("[]", "the list is empty"), ("[a, a]", "stands here twice"), ('["../a"]', "no component's name"), ("a", "a list is meant")],
)
def test_components_are_named_one_by_one(components: str, said: str) -> None:
    text = f'version: "2.0"\nscope: workflow\ncomponents: {components}\nshared_permissions: {{storage: [{LINE}]}}\n'
    assert said in "\n".join(problems(text))


def test_every_problem_comes_at_once() -> None:
    text = 'version: "3"\nscope: workflow\ncomponents: []\nshared_permissions: {storage: [{uri: x, access: [read]}]}\n'
    assert len(problems(text)) == 3


def test_neither_kind_of_document_is_taken_for_the_other() -> None:
    with pytest.raises(PolicyError, match="for several components at once") as caught:
        load_policy(f"{HEAD}shared_permissions: {{storage: [{LINE}]}}\n", file="w.yaml")
    assert "sandbox workflow load" in (caught.value.problems[0].help or "")
    assert "begin with `scope: workflow`" in problems('version: "2.0"\n')[0]
