"""Whether somebody has a scope, for what is no call: an operator's request to the host itself.

Pure. The document in force says what a scope implies; without one the shipped scopes imply what they do in every document.
Rule: a document in audit mode lets calls pass that it would refuse, and nobody near the host itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from sandbox.admission.authorizer import Authorizer
from sandbox.admission.subject import Subject


def lacking(authorizer: Authorizer, subject: Subject, scopes: Iterable[str]) -> tuple[str, ...]:
    """Of these scopes those that the subject has not."""
    ruleset = authorizer.ruleset
    held = _shipped(subject.scopes) if ruleset is None else ruleset.scopes.held[subject.scopes]
    return tuple(scope for scope in scopes if scope not in held)


@lru_cache(maxsize=256)
def _shipped(carried: tuple[str, ...]) -> frozenset[str]:
    # Imported where somebody asks: a host without a document must not wait for the engine of its patterns.
    from sandbox.admission.document.models import AdmissionDocument
    from sandbox.admission.sections.roles import Scopes

    return Scopes(AdmissionDocument(version="1.0")).held[carried]
