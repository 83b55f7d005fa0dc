"""What a process is bound to: one template, its preopens, and the ways by which its gates speak with the host.

Decides nothing: until it is bound a process permits nothing, can ask nobody and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.host.gates.egress import Egress
from sandbox.host.gates.filesystem.mounts import Mounts
from sandbox.host.gates.filesystem.sizes import Sizes
from sandbox.host.outcome import Denial
from sandbox.template.files import FileRules
from sandbox.template.network import NetworkRules
from sandbox.template.template import WasiTemplate

NOBODY = "nobody could be asked"


def nowhere(denial: Denial) -> None:
    """Where refusals go before there is a template: nothing runs then, so there is none."""
    raise RuntimeError(f"a denial before any template: {denial.target}")


def nobody(_wanted: Denial) -> str:
    """Who answers where no person can be asked: no."""
    return NOBODY


def nothing_kept(_asked: dict[str, Any]) -> dict[str, Any]:
    """What is kept where the host keeps nothing for this component."""
    return {"failed": "there is no store"}


@dataclass(frozen=True, slots=True)
class Bound:
    """The template that this process serves, ready to judge by."""

    template: WasiTemplate = field(default_factory=WasiTemplate)
    rules: FileRules = field(default_factory=lambda: FileRules(()))
    mounts: Mounts = field(default_factory=lambda: Mounts(()))
    descriptors: tuple[int, ...] = ()
    """The pinned directory of each preopen, in the template's order."""
    network: NetworkRules = field(default_factory=lambda: NetworkRules(()))
    egress: Egress | None = None
    report: Callable[[Denial], None] = nowhere
    ask: Callable[[Denial], str | None] = nobody
    """Have a person asked about what would be denied, and wait: None for a yes, else why not."""
    keep: Callable[[dict[str, Any]], dict[str, Any]] = nothing_kept
    """Have the host do something with what the component keeps, and wait for its answer."""
    log: int | None = None
    """Where a guest's log lines go, or None."""
    sizes: Sizes | None = None
    """The bounds of what may be stored, or None where no rule has any."""
