"""The index is whole: every attack of the design is there, and every test that it names."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
INDEX: dict[str, Any] = yaml.safe_load((HERE / "index.yaml").read_text())

IDS = {
    "FS": (1, 3, 4, 6, 7, 8, 10, 11, 13, 14, 16),
    "NET": (1, 2, 3, 4, 5, 7, 9, 10, 11, 13, 15, 17),
    "ENV": (1, 3),
    "RES": (1, 3, 4, 5, 7, 8, 9, 12, 13, 15, 16),
    "RND": (1,),
    "WASM": (1, 3, 4, 6, 8, 9),
    "PY": (1, 3, 4, 6, 7, 8, 9),
    "POL": (1, 2, 3, 5, 7, 8),
    "GRT": (1, 2, 4, 5, 7),
    "TOOL": (1, 2, 3, 5, 6),
    "ARG": (1, 3, 5, 6),
    "ADM": (1, 2, 3, 5, 7, 9),
    "AUD": (1, 4, 6, 7),
    "HTTP": (1, 2, 3, 5, 7, 8, 9),
    "OS": (1, 3),
}
"""The attacks of the design, by family."""
TWICE = ("FS-01", "FS-03", "FS-04", "NET-01", "NET-10", "ENV-01")
"""Those that two layers hold: tried again with each layer off."""


def test_every_attack_of_the_design_is_listed() -> None:
    assert set(INDEX) == {f"{family}-{number:02}" for family, numbers in IDS.items() for number in numbers}


@pytest.mark.parametrize("attack", sorted(INDEX))
def test_an_attack_is_held_or_says_why_not(attack: str) -> None:
    (kind, said), *rest = INDEX[attack].items()
    assert not rest
    assert kind in {"held", "later", "not-applicable"}
    assert len(said) > (0 if kind == "held" else 8)


@pytest.mark.parametrize("attack", TWICE)
def test_an_attack_of_two_layers_is_tried_with_each_of_them_off(attack: str) -> None:
    assert [test for test in INDEX[attack]["held"] if test.startswith("test_layers_off.py")]


def functions(path: Path) -> set[str]:
    """The tests in a file."""
    return {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("named", sorted({test for entry in INDEX.values() for test in entry.get("held", ())}))
def test_a_named_test_is_there(named: str) -> None:
    file, _, name = named.partition("::")
    path = HERE / file
    if path.is_dir():
        assert list(path.glob("test_*.py")), f"no tests in {file}"
    else:
        assert name in functions(path)
