"""The list that clients see: one tool that does not fit never breaks it, pages are complete, the order is always the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from mcp import MCPError

from sandbox.server.pages import PAGE
from sandbox.server.tools import MAX_TOOLS, ToolList
from sandbox.template.authority_hints import authority_hints
from sandbox.template.template import WasiTemplate
from sandbox.wit.tools import Tool, tools_of
from sandbox.wit.types import Digest, Export, Primitive, World

DIGEST = Digest("0" * 64)
FITS: Tool = tools_of("c", World(exports=(Export(None, "f", (("x", Primitive("u32")),), Primitive("string")),)), DIGEST)[0]


def listing_of(tools: Iterable[Tool]) -> ToolList:
    return ToolList.of(tools, lambda component: authority_hints(WasiTemplate()))


def named(count: int) -> list[Tool]:
    return [replace(FITS, name=f"c__f{number:04}") for number in range(count)]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "has a space"},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "line\n"},
        {"input_schema": {"type": "array"}},
        {"input_schema": {}},
        {"output_schema": {"type": "string"}},
        {"output_schema": {"$ref": "#/x"}},
        {"input_schema": {"type": "object", "properties": {"x": 3}}},
    ],
)
def test_a_tool_that_no_client_could_read_is_left_out_and_the_others_stay(
    changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    listing = listing_of([replace(FITS, **changed), replace(FITS, name="c__other")])
    assert listing.names == ("c__other",)
    assert "is left out" in caplog.text


@pytest.mark.parametrize("cursor", ["", "!", "/w==", "w6Q", "x" * 1001])
def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    with pytest.raises(MCPError) as caught:
        listing_of([FITS]).page(cursor)
    assert caught.value.code == -32602


def test_pages_hold_every_tool_once_and_in_order() -> None:
    listing = listing_of(reversed(named(2 * PAGE + 1)))
    page, found, sizes = listing.page(None), [], []
    while True:
        found += [tool.name for tool in page.tools]
        sizes.append(len(page.tools))
        if page.next_cursor is None:
            break
        page = listing.page(page.next_cursor)
    assert sizes == [PAGE, PAGE, 1]
    assert found == [tool.name for tool in named(2 * PAGE + 1)]


def test_a_whole_last_page_has_no_cursor() -> None:
    assert listing_of(named(PAGE)).page(None).next_cursor is None


def test_a_cursor_outlives_a_change_of_the_list() -> None:
    """A tool that went away between two pages moves no other one onto a page already read."""
    before, after = named(2 * PAGE), named(2 * PAGE)[10:]
    cursor = listing_of(before).page(None).next_cursor
    assert listing_of(after).page(cursor).tools[0].name == before[PAGE].name


def test_a_flood_of_tools_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    """ATTACKS TOOL-06."""
    assert len(listing_of(named(MAX_TOOLS + 1)).names) == MAX_TOOLS
    assert "too many" in caplog.text


def test_a_tool_says_where_it_comes_from() -> None:
    shown = listing_of([FITS]).by_name["c__f"].shown
    assert shown.meta == {"sandbox/wit": "f", "sandbox/component": "c", "sandbox/digest": f"sha256:{DIGEST}"}
    assert shown.input_schema == FITS.input_schema
    assert shown.output_schema == FITS.output_schema
