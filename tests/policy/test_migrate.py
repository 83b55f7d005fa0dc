"""Version "1.0" written as version "2.0": the same meaning, the comments in their places, or a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from sandbox.errors import PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.migrate import migrate, scalar
from sandbox.policy.tree import read_tree
from sandbox.template.compare import differences
from sandbox.template.examples import meaning
from tests.support.documents import OLD_DOCUMENTS
from tests.template.compiling import compiled_document

QUICK = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
FOLDER = Path(__file__).parent / "ecosystem" / "runs"


def is_the_same(old: bytes, new: str) -> None:
    """Both texts give the same decisions: the same rules, and no example tells them apart."""
    before = compiled_document(load_policy(old, file="old.yaml")).template
    after = compiled_document(load_policy(new, file="new.yaml")).template
    for section in ("files", "network", "environment"):
        rules = [[meaning(rule) for rule in getattr(template, section)] for template in (before, after)]
        assert rules[0] == rules[1]
    assert before.preopens == after.preopens
    assert differences(before, after).found == ()


@given(OLD_DOCUMENTS)
@QUICK
def test_the_new_text_decides_as_the_old_one(document: dict[str, Any]) -> None:
    text = json.dumps(document).encode()
    try:
        compiled_document(load_policy(text, file="old.yaml"))
    except PolicyError:
        assume(False)
    migrated = migrate(text, file="old.yaml")
    assert migrated.document.written_version == "2.0"
    is_the_same(text, migrated.text)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.yaml")))
def test_documents_of_the_ecosystem_migrate(name: str) -> None:
    text = (FOLDER / name).read_bytes()
    is_the_same(text, migrate(text, file=name).text)


def test_comments_stay_with_their_lines() -> None:
    old = b"""\
# yaml-language-server: $schema=https://schemas.example/v1.json
# Ours
version: "1.0"
permissions:
  network:
    allow:
      # the forecast
      - host: api.forecast.example # free of charge
  # as in the container
  runtime:
    docker: {}
  resources:
    memory: 64 # MB
# the end
"""
    assert (
        migrate(old, file="p.yaml", waive=("runtime.docker",)).text
        == """\
# Ours
version: "2.0"
permissions:
  network:
    allow:
      # the forecast
      - host: api.forecast.example # free of charge
        ports: [any]
  resources:
    limits:
      # as in the container
      memory: "64Mi" # MB
# the end
"""
    )


def test_a_hash_inside_a_text_is_no_comment() -> None:
    text = b'version: "1.0"\ndescription: |\n  # a heading\n  a "line" # with more\npermissions: {}\n'
    migrated = migrate(text, file="p.yaml")
    assert migrated.document.description == '# a heading\na "line" # with more\n'
    assert migrated.text.count("\n") == 2


def test_a_document_of_version_2_is_refused() -> None:
    with pytest.raises(PolicyError, match="already"):
        migrate(b'version: "2.0"\n', file="p.yaml")


def test_what_is_refused_cannot_be_migrated() -> None:
    with pytest.raises(PolicyError, match=r"runtime\.docker"):
        migrate(b'version: "1.0"\npermissions: {runtime: {docker: {}}}\n', file="p.yaml")


@given(st.text(max_size=12) | st.sampled_from(["yes", "1", "1e3", "~", "", "a: b", "- a", "# a", "a #b", "0o7", "2024-01-01"]))
@settings(max_examples=150, deadline=None)
def test_a_scalar_is_read_back_as_the_text_it_was(text: str) -> None:
    assume(not any("\ud800" <= char <= "\udfff" for char in text))
    written = f"a: {scalar(text)}\nb: [{scalar(text)}, c]\n"
    assert yaml.safe_load(written) == {"a": text, "b": [text, "c"]}
    assert read_tree(written, file="p").data == {"a": text, "b": [text, "c"]}
