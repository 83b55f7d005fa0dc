"""What clients may read beside the tools: each component's description and policy, and the end of the record.

Decides what a resource is called and what of it leaves this host. Leaves what a policy says to `sandbox.in_force.views`, and
who may read at all to the admission document.

    sandbox://record                        the last entries of the record
    sandbox://components/NAME               the component: its tools and what it says of itself
    sandbox://components/NAME/policy        the rules in force for this session, each with the line that it comes from
    sandbox://components/NAME/record        the last entries of the record about it

Rules: a reader sees the entries of his own calls and of nobody's, never of another subject's; of the components those with a tool
that he is shown, and no other tool of theirs; no value of a variable, and no text of a document that was refused; a component's
own words are marked as such. A resource that is not there, or not for this reader, is -32602 with its URI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import mcp.types as t
from mcp import MCPError

from sandbox.api import Sandbox
from sandbox.audit import EventType
from sandbox.components import LoadedComponent
from sandbox.errors import NotFound
from sandbox.server.clients import Caller
from sandbox.server.pages import page_of
from sandbox.server.tools import told

RECORD = "sandbox://record"
COMPONENT = "sandbox://components/{component}"
POLICY = f"{COMPONENT}/policy"
RECORD_OF = f"{COMPONENT}/record"
TEMPLATES = (COMPONENT, POLICY, RECORD_OF)

ENTRIES = 100
"""Entries of the record in one answer."""

JSON = "application/json"
UNTRUSTED = "titles, descriptions and schemas are the component author's words, cleaned and cut; nobody vouches for them"

_FILES = ("file", "admission")
"""What of a record's detail may be a file of the operator's."""
_URI = re.compile(r"sandbox://components/(?P<component>[^/?#]+)(?P<part>|/policy|/record)")
_SHOWN = {
    COMPONENT: ("what the component {} offers", "Its tools and, in its author's words, what they do"),
    POLICY: ("the policy of {}", "The rules in force, each with the line or grant that it comes from"),
    RECORD_OF: ("the record of {}", f"The last {ENTRIES} entries about it"),
}


def uri_of(template: str, component: str) -> str:
    """The URI of a component's resource."""
    return template.replace("{component}", quote(component, safe=""))


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, and which tools he is shown, by their names."""

    caller: Caller
    sees: Callable[[str], bool]


def everything(_: str) -> bool:
    """As the host itself sees it."""
    return True


def is_seen(component: LoadedComponent, sees: Callable[[str], bool]) -> bool:
    """Whether who is shown these tools is told of a component."""
    return not component.tools or any(sees(tool.name) for tool in component.tools)


class Resources:
    """The resources of one host."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def uris(self, sees: Callable[[str], bool] = everything) -> list[str]:
        """Every resource of who sees these tools, in order."""
        names = [component.name for component in self._seen(sees)]
        return sorted([RECORD, *(uri_of(template, name) for name in names for template in TEMPLATES)])

    def page(self, cursor: str | None, reader: Reader) -> t.ListResourcesResult:
        """A page of the list. Raises MCPError for a cursor that is none."""
        uris, following = page_of(self.uris(reader.sees), cursor)
        return t.ListResourcesResult(resources=[_listed(uri) for uri in uris], next_cursor=following)

    @staticmethod
    def templates(cursor: str | None) -> t.ListResourceTemplatesResult:
        """The patterns behind the list."""
        uris, following = page_of(sorted(TEMPLATES), cursor)
        return t.ListResourceTemplatesResult(resource_templates=[_template(uri) for uri in uris], next_cursor=following)

    def exists(self, uri: str, reader: Reader) -> bool:
        """Whether there is such a resource now."""
        return uri in self.uris(reader.sees)

    def read(self, uri: str, reader: Reader) -> t.ReadResourceResult:
        """What may be read there. Raises MCPError, -32602, for what is not there."""
        content = self._content(uri, reader)
        text = json.dumps(content, ensure_ascii=False, indent=1)
        return t.ReadResourceResult(contents=[t.TextResourceContents(uri=uri, mime_type=JSON, text=text)])

    def complete(self, uri: str, argument: str, begun: str, reader: Reader) -> t.Completion:
        """Component names that begin so. Raises MCPError, -32602, for a template that is none of ours."""
        if uri not in TEMPLATES or argument != "component":
            raise MCPError(t.INVALID_PARAMS, "no such resource template or argument")
        names = sorted(component.name for component in self._seen(reader.sees) if component.name.startswith(begun))
        return t.Completion(values=names[:100], total=len(names), has_more=len(names) > 100)

    def _seen(self, sees: Callable[[str], bool]) -> list[LoadedComponent]:
        return [one for one in self._sandbox.loaded() if is_seen(one, sees)]

    def _content(self, uri: str, reader: Reader) -> Any:
        if uri == RECORD:
            return self._records(reader.caller, lambda _: True)
        match = _URI.fullmatch(uri)
        name = unquote(match["component"]) if match is not None else ""
        component = next((one for one in self._seen(reader.sees) if one.name == name), None)
        if match is None or component is None or uri_of(COMPONENT + match["part"], name) != uri:
            raise not_found(uri)
        try:
            return self._part(match["part"], component, reader)
        except NotFound as error:
            raise not_found(uri) from error

    def _part(self, part: str, component: LoadedComponent, reader: Reader) -> Any:
        match part:
            case "/policy":
                return policy_in_force(self._sandbox.get_policy(component.name, session=reader.caller.session).to_json())
            case "/record":
                return self._records(reader.caller, lambda record: record.get("component") == component.name)
        return self._description(component, reader.sees)

    def _records(self, caller: Caller, about: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        def mine(record: dict[str, Any]) -> bool:
            if record.get("subject") is None and (record.get("address") or "flood" in (record.get("detail") or {})):
                return False  # somebody who was not let in, and what was counted of others
            return record.get("subject") in {None, caller.subject} and record.get("tenant") in {None, caller.who.tenant}

        found = self._sandbox.recent(ENTRIES, lambda record: mine(record) and about(record))
        return [without_places(record) for record in found]

    def _description(self, component: LoadedComponent, sees: Callable[[str], bool]) -> dict[str, Any]:
        hints = told(self._sandbox.authority_hints(component.name)).model_dump(by_alias=True, exclude_none=True)
        return {
            "component": component.name,
            "digest": f"sha256:{component.digest}",
            "untrusted": UNTRUSTED,
            "tools": [
                {
                    "name": tool.name,
                    "wit": tool.wit_id,
                    "title": tool.title,
                    "description": tool.description,
                    "annotations": hints,
                }
                for tool in component.tools
                if sees(tool.name)
            ],
            "notes": list(component.notes),
            "warnings": list(component.warnings),
        }


def policy_in_force(view: dict[str, Any]) -> dict[str, Any]:
    """A policy for a client: its rules, not its file, and no value of a variable."""
    shown = {key: value for key, value in view.items() if key not in {"text", "file"}}
    return shown | {
        "grants": [_without_value(grant) for grant in view["grants"]],
        "left_out": [{**one, "grant": _without_value(one["grant"])} for one in view["left_out"]],
    }


def not_found(uri: str) -> MCPError:
    """The error for a resource that is not there."""
    return MCPError(t.INVALID_PARAMS, "resource not found", {"uri": uri[:1024]})


def _without_value(grant: dict[str, Any]) -> dict[str, Any]:
    return {**grant, "entry": {key: "…" if key == "value" else each for key, each in grant["entry"].items()}}


def without_places(record: dict[str, Any]) -> dict[str, Any]:
    """A record for a client: where a component or a document lies here is the operator's; a document goes by its last name."""
    if record.get("event") == EventType.POLICY_REFUSED.value:
        record = {**record, "reason": None}
    detail = record.get("detail")
    if not isinstance(detail, dict):
        return record
    names = {key: Path(str(detail[key])).name for key in _FILES if key in detail}
    return {**record, "detail": {key: value for key, value in detail.items() if key not in {"path", "source"}} | names}


def _listed(uri: str) -> t.Resource:
    match = _URI.fullmatch(uri)
    if match is None:
        return t.Resource(uri=uri, name="record", title="The record", description=f"The last {ENTRIES} entries", mime_type=JSON)
    name = unquote(match["component"])
    title, description = _SHOWN[COMPONENT + match["part"]]
    return t.Resource(
        uri=uri, name=f"{name}{match['part']}", title=_sentence(title.format(name)), description=description, mime_type=JSON
    )


def _template(uri: str) -> t.ResourceTemplate:
    title, description = _SHOWN[uri]
    name = uri.removeprefix("sandbox://components/").replace("{component}", "component")
    return t.ResourceTemplate(
        uri_template=uri, name=name, title=_sentence(title.format("a component")), description=description, mime_type=JSON
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
