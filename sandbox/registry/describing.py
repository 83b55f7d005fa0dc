"""Find out what a component is without running it: its world, as the compile process reads it.

Decides nothing. The compile process is the same as a host's, under the same limits and layers, and what it makes is kept in the
same cache: a component that was described is loaded without compiling it again. No zygote and no worker is started.
"""

from __future__ import annotations

from sandbox.host.artefacts import Artefacts, Loaded
from sandbox.host.settings import HostSettings


async def describe(data: bytes, settings: HostSettings) -> Loaded:
    """The digest, the world and the size of a component. Raises ComponentError where it is refused."""
    artefacts = Artefacts(settings)
    await artefacts.open()
    try:
        return await artefacts.load(data)
    finally:
        await artefacts.close()
