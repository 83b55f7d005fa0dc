"""A document, a guard with budgets in memory and a record of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.admission import Authorizer
from sandbox.admission.document.load import load_admission
from sandbox.admission.spending.memory_counts import MemoryCounts
from sandbox.admission.spending.reserving import Budgets
from sandbox.admission.spending.terms import Terms
from sandbox.audit import AuditLog, records
from sandbox.guarding import Guard

Make = Callable[..., Guard]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """A guard under a document, which begins with its version."""
    log = AuditLog(folder, clock=lambda: 1_000.0, source="test")

    def made(text: str, **options: Any) -> Guard:
        document = load_admission(f'version: "1.0"\n{text}\n', file="a.yaml")
        terms = Terms(budgets=document.budgets, rates=document.rates, counts_usage=True)
        return Guard(Authorizer(document, **options), Budgets(MemoryCounts(), terms), log, clock=lambda: 1_000_000.0)

    yield made
    log.close()


@pytest.fixture
def recorded(folder: Path) -> Callable[[], list[dict[str, Any]]]:
    """What the record holds."""
    return lambda: list(records(folder))
