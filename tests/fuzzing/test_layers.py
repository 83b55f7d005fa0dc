"""A few examples of each property of each layer, other ones in each run; `make fuzz` tries them for an hour each."""

from __future__ import annotations

import os
from importlib import import_module

import pytest

from tests.fuzzing.__main__ import LAYERS

EXAMPLES = int(os.environ.get("SANDBOX_TEST_EXAMPLES", "15"))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_few_examples_hold(layer: str) -> None:
    with import_module(f"tests.fuzzing.{layer}").properties() as properties:
        for each in properties:
            each.tried(EXAMPLES)
