"""What a template lets a call do, in the four words that MCP has for a tool.

Pure. Computed from the rules alone: what a component says of itself does not count.

Rules: a hint that calms (read-only, not destructive, closed world, idempotent) is given only where the template cannot give what
it denies. Whatever is no deny counts as given; a deny that narrows an allow does not calm.

Source: MCP 2025-11-25, "Tools", annotations.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.policy.effect import Effect
from sandbox.template.template import Access, NetworkRule, WasiTemplate

_CHANGES = Access.WRITE | Access.CREATE | Access.DELETE
_DESTROYS = Access.WRITE | Access.DELETE
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110, 9.2.1: methods that ask a server to change nothing."""


@dataclass(frozen=True, slots=True)
class AuthorityHints:
    """The hints of every tool of a component; `idempotent` is None where nothing proves it.

    `asks` is no hint of MCP's: whether a call may wait for a person's yes.
    """

    read_only: bool
    destructive: bool
    open_world: bool
    idempotent: bool | None
    asks: bool = False


def authority_hints(template: WasiTemplate) -> AuthorityHints:
    """The hints of a template. The empty one is read-only, harmless, closed and idempotent."""
    files = Access.NONE
    for rule in template.files:
        files |= rule.access if rule.effect is not Effect.DENY else Access.NONE
    network = [rule for rule in template.network if rule.effect is not Effect.DENY]
    keeps = template.keyvalue is not None
    read_only = not files & _CHANGES and not network and not keeps
    return AuthorityHints(
        read_only=read_only,
        destructive=bool(files & _DESTROYS) or keeps or any(map(_may_change, network)),
        open_world=bool(network),
        # What changes nothing changes nothing the second time; of anything else no rule can tell.
        idempotent=True if read_only else None,
        asks=any(rule.effect is Effect.ASK for rule in template.files),
    )


def _may_change(rule: NetworkRule) -> bool:
    """Whether a request that the rule allows may delete or overwrite something at its host."""
    return rule.methods is None or not _SAFE_METHODS.issuperset(rule.methods) or bool({"tcp", "udp"} & set(rule.protocols))
