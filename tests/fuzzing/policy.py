"""The loaders of policies, of policies for several components and of the configuration: a document, or what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import yaml
from hypothesis import strategies as st

from sandbox.config.read import read_text
from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.workflow import load_workflow
from tests.fuzzing import Property
from tests.policy.test_fuzz import TEXTS, VALUES, loaded
from tests.support.documents import OLD_DOCUMENTS, documents
from tests.template.compiling import compiled_document

HEADS = (
    "",
    'version: "2.0"\npermissions:\n  ',
    'version: "1.0"\npermissions:\n  ',
    'version: "2.0"\nscope: workflow\ncomponents: [a]\nshared_permissions:\n  ',
    "ceiling:\n  ",
    "proxy:\n  ",
)
LOADERS: tuple[Callable[..., Any], ...] = (load_policy, load_workflow, read_text)


def answered(text: bytes | str) -> None:
    """Each loader gives a document or its problems, each with its place."""
    for load in LOADERS:
        try:
            load(text, file="f.yaml")
        except PolicyError as error:
            problems = error.problems
        else:
            continue
        assert problems
        assert all(problem.where.startswith("f.yaml:") for problem in problems)
        assert all(len(problem.message) < 4096 for problem in problems)


def any_bytes(data: bytes) -> None:
    answered(data)
    loaded(data)


def any_text(head: str, text: str) -> None:
    answered(head + text)


def any_tree(head: str, tree: dict[str, Any]) -> None:
    written = yaml.safe_dump(tree, allow_unicode=True)
    answered(head + written.replace("\n", "\n  "))


def nearly_a_policy(document: dict[str, Any], data: st.DataObject) -> None:
    """A good document with a piece cut out or put in: what is accepted can be compiled, or says why not."""
    text = yaml.safe_dump(document, sort_keys=False)
    at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 8))
    found = loaded(text[:at] + data.draw(TEXTS) + text[at + length :])
    if found is not None:
        with suppress(PolicyError):
            compiled_document(found)


@contextmanager
def properties() -> Iterator[tuple[Property, ...]]:
    """All of them; they need nothing."""
    yield (
        Property(any_bytes, (st.binary(max_size=600),)),
        Property(
            any_text,
            (
                st.sampled_from(HEADS),
                TEXTS | st.text(max_size=300),
            ),
        ),
        Property(
            any_tree,
            (
                st.sampled_from(HEADS),
                st.dictionaries(st.text(max_size=8), VALUES, max_size=4),
            ),
        ),
        Property(
            nearly_a_policy,
            (
                documents() | OLD_DOCUMENTS,
                st.data(),
            ),
        ),
    )
