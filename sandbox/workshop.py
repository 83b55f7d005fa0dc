"""The part of `Sandbox` that looks at policies without changing anything: what one decides, and how two differ.

Decides which template answers for a component: the one in force if it runs here, else the one that it would get. What a template
says is `sandbox.template.advice`, what two of them differ in `sandbox.template.compare`.
"""

from __future__ import annotations

from dataclasses import replace

from sandbox.errors import Code, SandboxError
from sandbox.in_force.accepted import Accepted, Given
from sandbox.in_force.effective import Effective, compile_effective
from sandbox.registry.installing import Kept
from sandbox.state import PolicyVersion
from sandbox.template.advice import Explained, Question, explained, under_ceiling
from sandbox.template.compare import differences
from sandbox.template.examples import Differences
from sandbox.template.template import WasiTemplate
from sandbox.wit.types import Digest


class Workshop:
    """What `Sandbox` offers to those who write policies."""

    def _kept(self) -> Kept:
        raise NotImplementedError

    def explain_policy(self, component: str, *questions: Question) -> tuple[Explained, ...]:
        """What holds for a component now, grants included, decides; with the command that would allow what it denies.

        Raises NotFound, and SandboxError where its document does not hold here.
        """
        digest, holds = self._holding(component)
        if holds.problems:
            said = "\n".join(holds.problems)
            raise SandboxError(f"`{component}` is granted nothing here:\n{said}", code=Code.COMPILATION_FAILED)
        found = explained(holds.template, questions, component=component)
        changes = self._kept().granting.changes
        if changes.around.ceiling is None or all(each.said.allowed for each in found):
            return found
        free = replace(changes.around, ceiling=None)
        without = compile_effective(free, component, digest, holds.accepted, holds.grants, changes.clock()).template
        return tuple(under_ceiling(without, each) for each in found)

    def policy_differences(self, component: str, policy: Given) -> Differences:
        """What another document would change for a component, its grants staying. Raises NotFound, PolicyError."""
        return differences(self.template_in_force(component), self.template_under(component, policy))

    def template_under(self, component: str, policy: Given) -> WasiTemplate:
        """What a component could touch under another document, its grants staying. Raises NotFound, PolicyError."""
        digest, _ = self._holding(component)
        granting = self._kept().granting
        return granting.changes.effective(component, digest, granting.documents.read(policy)).template

    def template_of_version(self, component: str, version: PolicyVersion) -> WasiTemplate:
        """What a component could touch under a document that was accepted for it before. Raises NotFound, PolicyError."""
        digest, _ = self._holding(component)
        granting = self._kept().granting
        return granting.changes.effective(component, digest, granting.accepted_then(version)).template

    def template_in_force(self, component: str) -> WasiTemplate:
        """What a component may touch now, grants included: nothing, where its document does not hold here. Raises NotFound."""
        return self._holding(component)[1].template

    def accepted_policy(self, component: str) -> Accepted:
        """The document behind that, without the grants. Raises NotFound."""
        return self._holding(component)[1].accepted

    def _holding(self, component: str) -> tuple[Digest, Effective]:
        kept = self._kept()
        row = kept.registry.store.installed_one(component)
        if row is None or component in kept.standing.components.loaded:
            return kept.granting.holding(component)
        return row.digest, kept.standing.loaded_of(row).effective
