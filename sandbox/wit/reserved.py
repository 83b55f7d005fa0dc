"""The names of the host's own tools, which no component's tool may have.

Decides only what is taken. What the tools do is `sandbox.server.builtin`. The names of the existing ecosystem are among them:
they are understood when called, so a component that had one would be called in the host's place.
"""

from __future__ import annotations

import re

_KINDS = ("storage", "network", "environment", "environment_variable", "resource", "memory")

RESERVED = frozenset(
    {
        *("load_component", "unload_component", "list_components", "search_components"),
        *("get_policy", "list_grants", "reset_permission"),
        *(f"{verb}_{kind}_permission" for verb in ("grant", "revoke") for kind in _KINDS),
    }
)
"""In the one spelling that `plain` makes of every other."""


def plain(name: str) -> str:
    """A tool's name in small letters with single underscores: `Load-Component` and `load__component` are `load_component`."""
    return re.sub(r"[-_.]+", "_", name).strip("_").casefold()


def reserved(name: str) -> bool:
    """Whether a tool of that name would be taken for one of the host's own."""
    return plain(name) in RESERVED
