"""The part of `Sandbox` that says which components and tools are there, and what each of them may do."""

from __future__ import annotations

from sandbox.components import Components, LoadedComponent
from sandbox.registry.standing import Standing
from sandbox.template.authority_hints import AuthorityHints, authority_hints
from sandbox.wit.tools import Tool


class Looking:
    """What `Sandbox` offers to see what is loaded."""

    _components: Components
    _standing: Standing

    def tools(self) -> tuple[Tool, ...]:
        """Every tool that can be called, by name."""
        return tuple(tool for _, tool in sorted(self._components.tools.items()))

    def loaded(self) -> tuple[LoadedComponent, ...]:
        """Every component whose tools are shown, by name."""
        return tuple(self._components.loaded[name].shown for name in sorted(self._components.loaded))

    def awaits_loading(self, component: str) -> bool:
        """Whether the next call of an installed component waits until it is compiled and loaded."""
        return self._standing.awaits_loading(component)

    def generation(self, component: str) -> str:
        """The digest of what a component's template was made from: another one means another policy. Raises NotFound."""
        return self._components.component(component).effective.template.generation

    def authority_hints(self, component: str) -> AuthorityHints:
        """What the template in force lets a component's tools do. Raises NotFound."""
        return authority_hints(self._components.component(component).effective.template)
