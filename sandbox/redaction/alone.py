"""Redaction for a program that has no host: one call, one copy.

Decides nothing that `Redactor` does not. A program that redacts often makes one `Redactor` and keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.redaction.assignments import telling
from sandbox.redaction.redact import Redacted, Redactor


def redact(value: Any) -> Redacted:
    """A copy of a text or JSON value without credentials, and the kinds of what was hidden."""
    return Redactor().redact(value)


def redact_env_vars(value: Any, names: Iterable[str] | None = None, environ: Mapping[str, str] | None = None) -> Redacted:
    """As `redact`, and without the values that these variables have: in `environ`, the process's own where none is given.

    Without `names`, of every variable whose name tells a secret (`DB_PASSWORD`). Raises TypeError for a single name: it would be
    read as names of one letter.
    """
    if isinstance(names, str):
        raise TypeError("names are several: write `[name]`")
    known = os.environ if environ is None else environ
    asked = filter(telling, known) if names is None else names
    return Redactor((name, known[name]) for name in asked if name in known).redact(value)
