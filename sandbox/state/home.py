"""Where this user's sandbox remembers things: one private folder, and what lies where in it.

Decides the folder's place and that it is this user's alone. What is written there is the business of the record, the store,
the compile cache and the control socket.

Source: XDG Base Directory Specification 0.8 (`$XDG_STATE_HOME`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.audit.folder import private_folder
from sandbox.errors import SandboxError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Home:
    """The home folder, resolved, 0700, and its parts. Made by `Home.open`."""

    path: Path

    @classmethod
    def open(cls, path: Path | None, environ: Mapping[str, str]) -> Home:
        """`path`, else `$SANDBOX_HOME`, else `sandbox` in the XDG state folder; raises HostUnavailable if it is not private."""
        chosen = path if path is not None else default_home(environ)
        home = cls(private_folder(chosen.expanduser()).resolve())
        for part in (home.state, home.cache, home.audit, home.run, home.components, home.path / "data"):
            private_folder(part)
        return home

    @property
    def state(self) -> Path:
        """Grants, components, denials: `sandbox.state.store`."""
        return self.path / "state"

    @property
    def keys(self) -> Path:
        """The key of the store's codes, and the highest number of a change: `sandbox.state.authentic`."""
        return self.path / "keys"

    @property
    def cache(self) -> Path:
        """Compiled components: `sandbox.host.cache`."""
        return self.path / "cache"

    @property
    def components(self) -> Path:
        """The bytes of the installed components, by digest: `sandbox.registry.registry`."""
        return self.path / "components"

    @property
    def audit(self) -> Path:
        """The record: `sandbox.audit`."""
        return self.path / "audit"

    @property
    def run(self) -> Path:
        """One control socket a running server: `sandbox.control`."""
        return self.path / "run"

    @property
    def own(self) -> tuple[str, ...]:
        """What no policy may name, but for a component's own data: the home, whole."""
        return (str(self.path),)

    def data(self, component: str) -> Path:
        """The component's own data folder, made 0700 where it is missing: what `fs://NAME` without a slash lies in."""
        return private_folder(self.data_place(component))

    def data_place(self, component: str) -> Path:
        """Where that folder lies; not made. Raises SandboxError for a name that cannot be a folder's."""
        if not _NAME.fullmatch(component):
            raise SandboxError(
                f"`{component}` cannot name a component's folder", help="letters, digits, `.`, `_`, `-`, at most 64"
            )
        return self.path / "data" / component


def default_home(environ: Mapping[str, str]) -> Path:
    """The home folder where nobody named one."""
    if named := environ.get("SANDBOX_HOME"):
        return Path(named)
    state = environ.get("XDG_STATE_HOME", "")
    # The specification: a relative path here is invalid and is ignored.
    return Path(state) / "sandbox" if state.startswith("/") else Path("~/.local/state/sandbox")
