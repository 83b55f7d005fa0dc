"""What the filesystem gate asks of a template's file rules (`sandbox.template.files`)."""

from __future__ import annotations

from typing import Protocol

from sandbox.template.template import Access, WasiTemplate


class Rules(Protocol):
    """The file rules, asked by real absolute host paths."""

    def access(self, path: str) -> Access:
        """What may be done with `path`."""

    def visible(self, path: str) -> bool:
        """Whether `path` may be known to exist: some access on it, or a rule that can give some below it."""

    def uniform_below(self, path: str) -> bool:
        """Whether no rule can decide otherwise anywhere below `path` than at it."""


class _NoRules:
    """Absence is deny."""

    def access(self, path: str) -> Access:
        del path
        return Access.NONE

    def visible(self, path: str) -> bool:
        del path
        return False

    def uniform_below(self, path: str) -> bool:
        del path
        return True


def rules_of(template: WasiTemplate) -> Rules:
    """The rules of a template."""
    del template
    return _NoRules()
