"""The part of `Sandbox` that keeps components: what is installed, what waits for acceptance, which policies there were.

Decides how all that is spelled in Python, and nothing else: what an installation means is `sandbox.registry.registry` and
`sandbox.registry.planning`, what is shown of it here is `sandbox.registry.standing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.changes.granting import Granting
from sandbox.components import Loaded, LoadedComponent
from sandbox.errors import Code, NotFound, SandboxError
from sandbox.in_force.accepted import Accepted, Given
from sandbox.in_force.views import PolicyView, view_of
from sandbox.policy.grants import Grant
from sandbox.receipt import Receipt
from sandbox.registry.inspection import ComponentView, Inspection, State
from sandbox.registry.planning import Acceptance
from sandbox.registry.registry import Registry
from sandbox.registry.standing import Standing
from sandbox.state import Installed, PolicyVersion
from sandbox.wit.docs import mentions
from sandbox.wit.tools import Tool
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class Kept:
    """What the methods below work with."""

    registry: Registry
    standing: Standing
    granting: Granting


class Installing:
    """What `Sandbox` offers to install, to accept, to take away, and to look at before and after."""

    def _kept(self) -> Kept:
        raise NotImplementedError

    async def inspect(self, source: Path | str, *, name: str | None = None, digest: str | None = None) -> Inspection:
        """What a component is and what it asks for; it is never run, and nothing is installed.

        `source` is the name of an installed component, a file, a folder with one component in it, or an https URL with a digest
        (`#sha256=…`, or `digest`). Raises ComponentError, and NotFound for a name that is neither installed nor a file.
        """
        return await self._kept().registry.inspect(source, name=name, digest=digest)

    async def install(
        self,
        source: Path | str | Inspection,
        *,
        policy: Given | None = None,
        accept_request: bool = False,
        accept_changes: bool = False,
        name: str | None = None,
        digest: str | None = None,
        who: str = "local",
        alone: bool = False,
    ) -> LoadedComponent:
        """Install a component in the home: its tools can be called here and in every server that serves what is installed.

        It runs under `policy` if that is given, else under what it asks for if `accept_request`, else under what was accepted for
        it before (`alone`: for these very bytes), else it is granted nothing. An inspection installs the very bytes and request
        that it showed. An update whose tools or imports changed has no tools until one of the three accepts that.

        Raises ComponentError, and PolicyError for a document that is refused; then nothing has changed.
        """
        given = Acceptance(policy, accept_request, accept_changes, who, alone)
        return (await self._kept().registry.install(source, given, name=name, digest=digest))[0]

    async def accept(
        self,
        component: str | Inspection,
        *,
        policy: Given | None = None,
        accept_request: bool = True,
        accept_changes: bool = True,
        who: str = "local",
    ) -> LoadedComponent:
        """Accept what waits of an installed component, its changed tools and what it asks for.

        With an inspection, what that showed. Raises NotFound, PolicyError, and ComponentError where it is another by now.
        """
        given = Acceptance(policy, accept_request, accept_changes, who)
        return (await self._kept().registry.accept(component, given))[0]

    def held_unasked(self, name: str, digest: Digest) -> Accepted:
        """The document that holds for these bytes under that name where nobody accepts another one. Raises PolicyError."""
        return self._kept().registry.planning.unasked(name, digest)

    def granted_unasked(self, name: str, digest: Digest) -> tuple[Grant, ...]:
        """What holds for these bytes under that name beside a document: grants, and what workflows share with them.

        Each is held to the ceiling all the same. Those of a session are left out.
        """
        granting = self._kept().granting
        stored = granting.store.grants(granting.clock(), component=name, digest=digest)
        lasting = (grant for grant in stored if grant.session is None)
        return (*granting.changes.around.shared.grants_of(name, digest), *lasting)

    async def unload(self, name: str) -> Receipt:
        """Take a component away, here and in every server that serves what is installed; its running calls are stopped.

        What was accepted and granted for its bytes stays remembered. Raises NotFound.
        """
        return await self._kept().registry.unload(name)

    def components(self) -> tuple[ComponentView, ...]:
        """The installed components, and those that this host has loaded besides, by name."""
        kept = self._kept()
        loaded = kept.standing.components.loaded
        rows = {row.name: row for row in kept.registry.store.installed()}
        shown = [_shown_installed(kept, row) for row in rows.values()]
        shown += [(_view(one), one.shown.tools) for name, one in loaded.items() if name not in rows]
        return tuple(sorted(_with_shadows(shown), key=lambda view: view.name))

    def policy_versions(self, component: str) -> tuple[PolicyVersion, ...]:
        """The documents that were accepted for a component, the oldest first; the last is the one in force. Raises NotFound."""
        kept = self._kept()
        found = kept.registry.store.versions(component)
        if not found:
            kept.granting.known(component)
        return found

    async def rollback_policy(self, component: str, version: int | None = None) -> Receipt:
        """Put an earlier version of a component's policy back in force: `version`, else the one before the last.

        It becomes a version of its own. Raises NotFound, and PolicyError where it does not hold here any more; then the one in
        force stays.
        """
        return await self._kept().granting.put_back(component, self.earlier_policy(component, version))

    def earlier_policy(self, component: str, version: int | None = None) -> PolicyVersion:
        """The version of a component's policy that `rollback_policy` puts back. Raises NotFound."""
        found = self.policy_versions(component)
        numbers = [one.version for one in found]
        wanted = version if version is not None else numbers[-2] if len(numbers) > 1 else None
        chosen = next((one for one in found if one.version == wanted), None)
        if chosen is None:
            which = "an earlier policy" if version is None else f"a policy of version {version}"
            known = ", ".join(map(str, numbers)) or "none"
            raise NotFound(f"`{component}` has not {which}", help=f"the versions are: {known}", code=Code.POLICY_NOT_FOUND)
        return chosen

    def get_policy(self, component: str, *, session: str | None = None) -> PolicyView:
        """What holds for a component now, loaded here or remembered; for the calls of a session, where one is named.

        Raises NotFound.
        """
        kept = self._kept()
        row = kept.registry.store.installed_one(component)
        loaded = kept.standing.components.loaded.get(component)
        if loaded is not None:
            return replace(kept.granting.view(component, session), waiting=loaded.shown.waiting)
        if row is None:
            return kept.granting.view(component, session)
        made = kept.standing.loaded_of(row)
        return replace(view_of(component, row.digest, made.effective), waiting=made.shown.waiting)


Shown = tuple[ComponentView, tuple[Tool, ...]]


def _shown_installed(kept: Kept, row: Installed) -> Shown:
    """An installed component, as this host shows it or would show it; a faulty one with its fault."""
    broken = ComponentView(row.name, row.digest, "broken", (), source=row.source, size=row.size, installed_at=row.installed_at)
    held = kept.standing.components.loaded.get(row.name) if row.name in kept.standing.held else None
    if held is None and (fault := kept.standing.faults.get(row.name)) is not None:
        return replace(broken, problems=(fault,)), ()
    try:
        one = held or kept.standing.loaded_of(row)
    except SandboxError as error:
        return replace(broken, problems=(error.message,)), ()
    view = replace(_view(one, row), source=row.source, size=row.size, installed_at=row.installed_at)
    return view, one.shown.tools


def _view(one: Loaded, row: Installed | None = None) -> ComponentView:
    effective, shown = one.effective, one.shown
    disabled = row is not None and not row.accepted
    state: State = "disabled" if disabled else "broken" if effective.problems else "waits" if shown.waiting else "ready"
    accepted = effective.accepted
    return ComponentView(
        name=shown.name,
        digest=shown.digest,
        state=state,
        tools=tuple(tool.name for tool in shown.tools),
        policy=accepted.path or accepted.file,
        accepted_by=accepted.by,
        waiting=shown.waiting,
        problems=() if disabled else effective.problems,
        notes=shown.notes,
        warnings=shown.warnings,
    )


def _with_shadows(shown: list[Shown]) -> list[ComponentView]:
    """Each component with a warning for each of its descriptions that speaks of another's tool (TOOL-05), whoever came first."""
    every = {tool.name for _, tools in shown for tool in tools}
    made = []
    for view, tools in shown:
        others = every - set(view.tools)
        found = [
            f"`{tool.name}`: its description names the tool {other} of another component"
            for tool in tools
            for other in sorted(mentions(tool.description, others))
        ]
        made.append(replace(view, warnings=(*view.warnings, *(line for line in found if line not in view.warnings))))
    return made
