"""`sandbox admission schema`: the JSON Schema of admission documents, for editors."""

from __future__ import annotations

from argparse import Namespace

from sandbox.admission.document.schema import admission_schema
from sandbox.cli.policy.schema import written
from sandbox.cli.terminal import Terminal


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Print the schema, or write it where a document can name it."""
    return written(admission_schema(), "an admission document", arguments, terminal)
