"""The admission document that a word of a command names: a file, or one that ships with the host."""

from __future__ import annotations

from sandbox.admission.document.load import load_admission_file, named_admission
from sandbox.admission.document.models import AdmissionDocument
from sandbox.cli.home import policy_value


def document_of(word: str) -> AdmissionDocument:
    """The document; raises PolicyError."""
    given = policy_value(word)
    return named_admission(given) if isinstance(given, str) else load_admission_file(given)
