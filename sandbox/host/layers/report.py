"""Which layers hold, as a worker found them: what `sandbox doctor` prints and `strict` insists on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = (
    "descriptors",
    "rlimits",
    "namespaces",
    "capabilities",
    "no_new_privs",
    "pdeathsig",
    "dumpable",
    "landlock",
    "mdwe",
    "seccomp",
)
"""Every layer, in the order in which a worker takes them."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: whether the kernel says that it holds, and where not, why."""

    name: str
    held: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """All layers of one worker, in the order of `NAMES`."""

    layers: tuple[Layer, ...] = ()

    @property
    def missing(self) -> tuple[Layer, ...]:
        """Those that do not hold here."""
        return tuple(layer for layer in self.layers if not layer.held)

    @classmethod
    def of(cls, found: Mapping[str, str | None]) -> LayerReport:
        """From what each probe said; a layer that nothing was said about does not hold."""
        return cls(tuple(_layer(name, found.get(name, "not tried")) for name in NAMES))


def _layer(name: str, said: str | None) -> Layer:
    return Layer(name, said is None, said or "")
