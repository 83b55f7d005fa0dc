"""Where a guest's paths lead: the mount points, and the virtual folders above them.

Decides which host directory a guest path begins in; the rules decide what may be done there. There is always a `/`: a mount,
or a virtual folder that lists the first names of the mounts, so that every path a guest tries reaches the gate.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.template.template import Preopen


@dataclass(frozen=True, slots=True)
class Mount:
    """A preopen where the guest sees it. `number` is its place among the preopens, which Wasmtime knows it by."""

    number: int
    host: str
    guest: str
    writable: bool
    crossings: bool
    """Whether other mount points lie below this one."""


def normal(path: str) -> str:
    """An absolute guest path without `.`, `..`, empty names and trailing slashes, taken as words."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def below(guest: str) -> str:
    """What every path below `guest` begins with."""
    return guest if guest.endswith("/") else guest + "/"


class Mounts:
    """The mounts of a template by guest path, and the folders above them with what they list."""

    def __init__(self, preopens: tuple[Preopen, ...]) -> None:
        self.preopens = preopens
        guests = [normal(preopen.guest_path) for preopen in preopens]
        if len(set(guests)) != len(guests):
            raise ValueError("two preopens have the same guest path")
        self.mounts = {
            guest: Mount(i, preopen.host_path, guest, preopen.writable, crossings=_crossed(guest, guests))
            for i, (preopen, guest) in enumerate(zip(preopens, guests, strict=True))
        }
        self.listed: dict[str, tuple[str, ...]] = self._list()

    def _list(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {"/": []}
        for guest in sorted(self.mounts):
            parent = "/"
            for name in guest.split("/")[1:]:
                if name:
                    names = found.setdefault(parent, [])
                    if name not in names:
                        names.append(name)
                    parent = below(parent) + name
        return {guest: tuple(names) for guest, names in found.items()}

    def is_point(self, guest: str) -> bool:
        """Whether `guest` is a mount point or lies above one: such a name cannot be removed or replaced."""
        return guest in self.mounts or guest in self.listed


def _crossed(guest: str, guests: list[str]) -> bool:
    return any(other != guest and other.startswith(below(guest)) for other in guests)
