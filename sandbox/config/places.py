"""Which files make the configuration.

The operator's is the first found of `--config`, `$SANDBOX_CONFIG`, and `sandbox.yaml` in the user's configuration folder; one
that is named must be there. `sandbox.yaml` in the folder where a command is run is the project's: it can only narrow.

Source: XDG Base Directory Specification 0.8 (`$XDG_CONFIG_HOME`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "sandbox.yaml"


@dataclass(frozen=True, slots=True)
class Places:
    """The files that are read; `users` is where the operator's lies where nobody names another, there or not."""

    users: Path
    operator: Path | None = None
    project: Path | None = None


def user_folder(environ: Mapping[str, str]) -> Path:
    """Where this user's configuration lies: `sandbox` in the XDG configuration folder."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    # The specification: a relative path here is invalid and is ignored.
    return Path(chosen) / "sandbox" if chosen.startswith("/") else Path("~/.config/sandbox").expanduser()


def find_places(named: Path | None, environ: Mapping[str, str], folder: Path) -> Places:
    """The files, `named` by `--config` and `folder` being where the command is run."""
    users = user_folder(environ) / NAME
    variable = environ.get("SANDBOX_CONFIG")
    operator = named or (Path(variable).expanduser() if variable else None) or (users if _there(users) else None)
    project = folder / NAME
    # The same file is not asked to narrow itself.
    own = operator is not None and operator.resolve() == project.resolve()
    return Places(users, operator, project if _there(project) and not own else None)


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()
