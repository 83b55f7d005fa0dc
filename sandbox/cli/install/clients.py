"""Which MCP clients there are, where each keeps its configuration, and how an entry is spelled there.

Decides file, key and form by client, platform and scope; opens nothing. Sources: each client's own documentation, 2026.

Rules: a scope that a client has no file for is an error that says what to do instead; clients start servers with an almost empty
environment in another folder, so what an entry names is absolute (`sandbox.cli.install.command`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox.errors import Code, SandboxError

Scope = Literal["user", "project"]

Place = tuple[str, ...]
"""A folder that `Machine` knows, then names below it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides about places: `platform` as `sys.platform` has it, the home folder, the environment, the project's folder."""

    platform: str
    home: Path
    environ: Mapping[str, str]
    project: Path

    def find(self, place: Place) -> Path:
        """The path of a place."""
        return Path(self._base(place[0]), *place[1:])

    def _base(self, name: str) -> Path:
        if name == "application":
            return self._applications()
        if name == "codex":
            return Path(self.environ.get("CODEX_HOME") or self.home / ".codex")
        return self.home if name == "home" else self.project

    def _applications(self) -> Path:
        """Where programs with a window keep their settings."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        if self.platform == "win32":
            return Path(self.environ.get("APPDATA") or self.home / "AppData" / "Roaming")
        configured = self.environ.get("XDG_CONFIG_HOME", "")
        # The specification: a relative path here is invalid and is ignored.
        return Path(configured) if configured.startswith("/") else self.home / ".config"


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its files by scope, the default one first; the key that holds servers; and what an entry has besides."""

    title: str
    files: Mapping[Scope, Place]
    key: str = "mcpServers"
    entry: Mapping[str, str] = field(default_factory=dict)
    then: str = ""
    """What a person does next."""
    by_hand: str = ""
    """The client's own command for the scope that has no file."""


_CLIENTS = {
    "claude": Client(
        "Claude Desktop",
        {"user": ("application", "Claude", "claude_desktop_config.json")},
        then="quit Claude Desktop whole and open it again",
    ),
    "claude-code": Client(
        "Claude Code",
        {"project": ("project", ".mcp.json")},
        then="start `claude` in this folder and approve the server; `/mcp` shows it",
        by_hand="claude mcp add --scope user",
    ),
    "cursor": Client(
        "Cursor",
        {"user": ("home", ".cursor", "mcp.json"), "project": ("project", ".cursor", "mcp.json")},
        then="Cursor's settings, under MCP, show it",
    ),
    "vscode": Client(
        "VS Code",
        {"project": ("project", ".vscode", "mcp.json"), "user": ("application", "Code", "User", "mcp.json")},
        key="servers",
        entry={"type": "stdio"},
        then="`MCP: List Servers` in VS Code starts it",
    ),
    "gemini": Client(
        "Gemini CLI",
        {"user": ("home", ".gemini", "settings.json"), "project": ("project", ".gemini", "settings.json")},
        then="start `gemini` again, in a folder that it trusts; `/mcp` shows it",
    ),
    "codex": Client(
        "Codex",
        {"user": ("codex", "config.toml"), "project": ("project", ".codex", "config.toml")},
        key="mcp_servers",
        then="start `codex` again; `/mcp` shows it",
    ),
}

PRINTED = "mcp-json"
"""No client: the entry as most of them write it, on standard output."""

NAMES = (*_CLIENTS, PRINTED)


def client(name: str) -> Client:
    """The client of that name, which is one of `NAMES` but `PRINTED`."""
    return _CLIENTS[name]


def scoped(name: str, scope: Scope | None) -> tuple[Scope, Place]:
    """The scope that holds and its place; raises `SandboxError` where the client has no file for it."""
    found = _CLIENTS[name]
    chosen = next(iter(found.files)) if scope is None else scope
    if chosen not in found.files:
        other = " or ".join(f"`--scope {each}`" for each in found.files)
        instead = f"`{found.by_hand} NAME -- COMMAND …` does it with what `--print` shows; " if found.by_hand else ""
        raise SandboxError(
            f"{found.title} has no file for the scope `{chosen}` that this command writes",
            help=f"{instead}here: {other}",
            code=Code.INVALID_ARGUMENTS,
        )
    return chosen, found.files[chosen]
