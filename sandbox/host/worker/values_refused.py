"""How a JSON value is refused on its way to a guest: with its path, one step added at each level on the way out.

Decides only wording; what is refused is decided where the types are converted.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sandbox.wit.refusal import listed, named, nearest, quoted


class Refused(Exception):  # noqa: N818 - it becomes an `ArgumentError` once its path is known
    """A value that its type does not accept; the steps of its path are added on the way out, innermost first."""

    def __init__(self, message: str, *, help: str | None = None) -> None:  # noqa: A002 - the word of the error style
        super().__init__(message)
        self.message, self.help, self.steps = message, help, list[str]()

    def at(self, step: str) -> Refused:
        """The same refusal, one step further out."""
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        """The path from the root, `.items[3].name`."""
        return "".join(reversed(self.steps))


def expected(what: str, value: Any) -> Refused:
    """`expected a string, got 5`."""
    return Refused(f"expected {what}, got {quoted(value)}")


def check_keys(value: dict[Any, Any], names: dict[str, bool], what: str) -> None:
    """Refuse unknown keys and missing required ones; `names` says of each whether it may be left out."""
    if value.keys() - names.keys():
        key = next(key for key in value if key not in names)
        hint = nearest(key, names) if isinstance(key, str) else None
        raise Refused(f"unknown {what} {named(str(key))}", help=hint or f"it has {listed(names)}")
    if len(value) != len(names):
        missing = [name for name, optional in names.items() if not optional and name not in value]
        if missing:
            raise Refused(f"missing {what} {listed(missing)}")


def no_name(what: str, value: Any, names: Collection[str]) -> Refused:
    """`unknown tag `x``, with the names there are."""
    if type(value) is not str:
        return expected(f"a string, one of {listed(names)}", value)
    return Refused(f"unknown {what} {named(value)}", help=nearest(value, names) or f"it is one of {listed(names)}")
