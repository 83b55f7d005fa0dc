"""The components of a running host, their tools, and the calls that run: one table, changed only on the event loop's thread.

Decides that a tool's name means one thing. What a component may do is `sandbox.in_force.effective`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sandbox.errors import Code, ComponentError, NotFound
from sandbox.in_force.assigned import Assigned
from sandbox.in_force.effective import Effective
from sandbox.in_force.sessions import Bound
from sandbox.in_force.stopped import Stops
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import Tool
from sandbox.wit.types import Digest


@dataclass(frozen=True, slots=True)
class LoadedComponent:
    """A component that can be called: its tools, what of it is no tool, what is doubtful, and what waits for a person."""

    name: str
    digest: Digest
    tools: tuple[Tool, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


@dataclass(slots=True)
class Loaded:
    """A component of this host, and what holds for it now: for every call, and for those of a session with grants of its own."""

    shown: LoadedComponent
    effective: Effective
    bound: Bound = field(default_factory=Bound)

    def effective_for(self, session: str | None) -> Effective:
        """What holds for a call of this session."""
        if session is None or not self.bound.grants:
            return self.effective
        return self.bound.of(session) or self.effective

    @property
    def name(self) -> str:
        """The name that the operator gave it."""
        return self.shown.name

    @property
    def digest(self) -> Digest:
        """The component's own."""
        return self.shown.digest


@dataclass(frozen=True, slots=True)
class Running:
    """A call that runs, the template it holds, the ids of the grants that it began under, and the session it is of."""

    call_id: str
    component: str
    tool: str
    template: WasiTemplate
    grants: tuple[str, ...] = ()
    session: str | None = None


@dataclass(slots=True)
class Components:
    """Every loaded component by name, every tool by name, every running call by id, and what is stopped."""

    loaded: dict[str, Loaded] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    assigned: Assigned = field(default_factory=Assigned)
    stops: Stops = field(default_factory=Stops)
    """What may not be called at all."""

    def refuse_collision(self, name: str, tools: tuple[Tool, ...]) -> None:
        """Raise ComponentError where a component or a tool of that name is loaded already."""
        if name in self.loaded:
            raise ComponentError(f"a component named `{name}` is loaded already", help="give this one another `name`")
        for tool in tools:
            if tool.name in self.tools:
                other = self.tools[tool.name].component
                raise ComponentError(f"`{name}` and `{other}` both have the tool `{tool.name}`", help="give one another `name`")

    def add(self, component: Loaded) -> None:
        """Add a component; its tools can be called from now on."""
        self.refuse_collision(component.name, component.shown.tools)
        self.loaded[component.name] = component
        self.tools |= {tool.name: tool for tool in component.shown.tools}

    def remove(self, name: str) -> None:
        """Take a component and its tools away; its running calls are the caller's to stop."""
        gone = self.loaded.pop(name)
        for tool in gone.shown.tools:
            del self.tools[tool.name]

    def find(self, tool: str) -> tuple[Loaded, Tool] | None:
        """The tool of that name and its component, or None."""
        found = self.tools.get(tool)
        return None if found is None else (self.loaded[found.component], found)

    def component(self, name: str) -> Loaded:
        """The component of that name; raises NotFound."""
        if name not in self.loaded:
            raise NotFound(f"there is no component `{name}`", help="load it first", code=Code.COMPONENT_NOT_FOUND)
        return self.loaded[name]

    def calls_of(self, name: str) -> Iterator[Running]:
        """The running calls of a component."""
        return (call for call in tuple(self.running.values()) if call.component == name)
