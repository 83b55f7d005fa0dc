"""The hints of a template: what calms is said only where the template cannot give what it denies."""

from __future__ import annotations

from dataclasses import fields

import pytest

from sandbox.policy.effect import Effect
from sandbox.template.authority_hints import AuthorityHints, authority_hints
from sandbox.template.template import Access, FileRule, NetworkRule, WasiTemplate

CALM = AuthorityHints(read_only=True, destructive=False, open_world=False, idempotent=True)


def file(access: Access, effect: Effect = Effect.ALLOW) -> FileRule:
    return FileRule(effect, "/data/**", access, "policy.yaml:1:1")


def network(*methods: str, effect: Effect = Effect.ALLOW, protocols: tuple[str, ...] = ("https",)) -> NetworkRule:
    named = methods or None
    return NetworkRule(effect, "api.example.com", None, None, protocols, named, None, "policy.yaml:1:1")


def hints(*rules: FileRule | NetworkRule) -> AuthorityHints:
    files = tuple(rule for rule in rules if isinstance(rule, FileRule))
    return authority_hints(WasiTemplate(files=files, network=tuple(rule for rule in rules if isinstance(rule, NetworkRule))))


@pytest.mark.parametrize("access", [Access.WRITE, Access.CREATE, Access.DELETE, Access.ALL])
def test_who_may_change_a_file_is_not_read_only(access: Access) -> None:
    found = hints(file(access))
    assert (found.read_only, found.open_world, found.idempotent) == (False, False, None)
    assert found.destructive is (access is not Access.CREATE)


def test_a_reachable_host_opens_the_world() -> None:
    assert hints(network("GET", "HEAD")) == AuthorityHints(False, False, True, None)


@pytest.mark.parametrize("rule", [network(), network("GET", "DELETE"), network("POST"), network("GET", protocols=("tcp",))])
def test_a_request_that_may_change_something_is_destructive(rule: NetworkRule) -> None:
    assert hints(rule).destructive is True


def test_a_deny_beside_an_allow_does_not_calm() -> None:
    both = hints(file(Access.ALL), file(Access.ALL, Effect.DENY), network(), network(effect=Effect.DENY))
    assert both == AuthorityHints(False, True, True, None)


def test_nothing_reading_and_denies_are_calm() -> None:
    assert hints() == CALM
    assert hints(file(Access.READ), file(Access.ALL, Effect.DENY), network(effect=Effect.DENY)) == CALM


def test_every_field_of_a_template_was_thought_of() -> None:
    """A new field may be a new authority: whoever adds one decides here whether a hint must know it."""
    authority = {"files", "network", "keyvalue"}
    without = {
        "component",
        "tenant",
        "preopens",  # what may be done below one is a rule of `files`
        "environment",  # read when the call begins
        "denied_environment",
        "limits",
        "generation",
    }
    assert {field.name for field in fields(WasiTemplate)} <= authority | without
