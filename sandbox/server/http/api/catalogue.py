"""The operations of who looks: which components there are, and what each may touch.

Decides what of a component is told: its tools as MCP lists them to the same subject, nothing to who is left none of them and is
no admin, and of its policy no file of the operator's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from sandbox.components import LoadedComponent
from sandbox.errors import unknown_component
from sandbox.in_force.views import PolicyView
from sandbox.server.http.api.models import (
    Component,
    ComponentName,
    ComponentPage,
    PolicyInForce,
    Rule,
    Tool,
)
from sandbox.server.http.api.operations import READ, Asked, Example, Link, Operation
from sandbox.server.http.api.queries import ComponentsAsked
from sandbox.server.resources import is_seen

_Entry = TypeVar("_Entry")
_DIGEST = "sha256:" + "0" * 64
_TOOL = {"name": "fetch__get", "title": "Get", "description": "Get a page"}
_COMPONENT = {"name": "fetch", "digest": _DIGEST, "tools": [_TOOL], "warnings": []}
_NO_COMPONENT = "There is no component of that name"


def page_of(
    entries: Sequence[_Entry], key: Callable[[_Entry], str], after: str | None, limit: int
) -> tuple[tuple[_Entry, ...], str | None]:
    """The entries after a key, which need not be there any more, and the key to go on after, where there are more."""
    found = sorted(entries, key=key)
    start = 0 if after is None else bisect_right(found, after, key=key)
    page = tuple(found[start : start + limit])
    return page, key(page[-1]) if start + limit < len(found) else None


async def _components(asked: Asked) -> ComponentPage:
    query: ComponentsAsked = asked.query
    there, shows = await seen_by(asked)
    page, following = page_of(there, lambda one: one.name, query.after, query.limit)
    return ComponentPage(components=tuple(_shown(one, shows) for one in page), next=following)


async def _component(asked: Asked) -> Component:
    there, shows = await seen_by(asked)
    return _shown(_named(asked, there), shows)


async def _policy(asked: Asked) -> PolicyInForce:
    there, _ = await seen_by(asked)
    view: PolicyView = asked.sandbox.get_policy(_named(asked, there).name)
    return PolicyInForce(
        component=view.component,
        digest=f"sha256:{view.digest}",
        rules=tuple(Rule(line=note.line, origin=note.origin, enforced_by=note.enforced_by) for note in view.rules),
        problems=view.problems,
        warnings=view.warnings,
        generation=view.generation,
    )


async def seen_by(asked: Asked) -> tuple[list[LoadedComponent], Callable[[str], bool]]:
    """The components that the subject is told of, and which of their tools."""
    shows = await asked.sandbox.shown_to(asked.who)
    return [one for one in asked.sandbox.loaded() if asked.sees_all or is_seen(one, shows)], shows


def _named(asked: Asked, there: Sequence[LoadedComponent]) -> LoadedComponent:
    name = asked.parameters["component"]
    found = next((one for one in there if one.name == name), None)
    if found is None:
        raise unknown_component(name, (one.name for one in there))
    return found


def _shown(component: LoadedComponent, shows: Callable[[str], bool]) -> Component:
    tools = (Tool(name=one.name, title=one.title, description=one.description) for one in component.tools if shows(one.name))
    digest = f"sha256:{component.digest}"
    return Component(name=component.name, digest=digest, tools=tuple(tools), warnings=component.warnings)


CATALOGUE = (
    Operation(
        id="listComponents",
        method="GET",
        path="components",
        summary="List the components",
        description="By name, each with the tools that this subject may call. Titles and descriptions are the words of the "
        "component's author; nobody vouches for them.",
        scopes=(READ,),
        does=_components,
        gives=ComponentPage,
        query=ComponentsAsked,
        example=Example(answer={"components": [_COMPONENT], "next": None}),
        links=(Link("getComponent", {"component": "$response.body#/components/0/name"}),),
    ),
    Operation(
        id="getComponent",
        method="GET",
        path="components/{component}",
        summary="Show a component",
        description="Its digest, and the tools that this subject may call.",
        scopes=(READ,),
        does=_component,
        gives=Component,
        parameters={"component": ComponentName},
        example=Example(answer=_COMPONENT),
        refusals={404: _NO_COMPONENT},
        links=(Link("getPolicy", {"component": "$response.body#/name"}),),
    ),
    Operation(
        id="getPolicy",
        method="GET",
        path="components/{component}/policy",
        summary="What a component may touch now",
        description="The lines in force, each with the line of a document or the grant that it comes from.",
        scopes=(READ,),
        does=_policy,
        gives=PolicyInForce,
        parameters={"component": ComponentName},
        example=Example(
            answer={
                "component": "fetch",
                "digest": _DIGEST,
                "rules": [
                    {"line": "GET https://api.example.com/**", "origin": "fetch.yaml:5:9", "enforced_by": "the network gate"}
                ],
                "problems": [],
                "warnings": [],
                "generation": "0" * 64,
            }
        ),
        refusals={404: _NO_COMPONENT},
    ),
)
