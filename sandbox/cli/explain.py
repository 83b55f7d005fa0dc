"""`sandbox explain`: why a call is admitted or not, and why it may touch what it asks for: one answer, in one form.

`TOOL [KEY=VALUE …]` asks about a call; `--read`, `--url`, … what calls of that component may touch. A component instead of a tool
asks about that alone. Exit code 1 where one answer is no.
"""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from sandbox.admission import Ruling, Subject
from sandbox.admission.looking_back.explaining import Explanation
from sandbox.admission.subject import SHIPPED_SCOPES
from sandbox.api import Sandbox
from sandbox.cli.admission.reading import document_of
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.policy.asked import asked, resolved
from sandbox.cli.terminal import Terminal
from sandbox.cli.values import arguments_from
from sandbox.errors import Code, SandboxError

_SIGN = {True: "yes", False: "no", None: "?"}
_COLOURS = {Ruling.ALLOW: "green", Ruling.DENY: "red", Ruling.REQUIRE_APPROVAL: "yellow"}


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Explain the call, and every effect that is asked about."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    word, *words = arguments.words
    async with open_sandbox(arguments, source="terminal") as sandbox:
        call = _call(arguments, sandbox, word, words) if "__" in word else None
        component = word.partition("__")[0]
        effects = [sandbox.explain_effect(component, resolved(question)) for question in asked(arguments)]
    if call is None and not effects:
        told = (
            "name a tool (`files__read`), or what it may touch: `--read PATH`, `--url URL`, `--env NAME`, `--limit NAME[=VALUE]`"
        )
        raise SandboxError("nothing is asked", help=told, code=Code.INVALID_ARGUMENTS)
    if terminal.json:
        told_call = None if call is None else call.to_json()
        terminal.data({"call": told_call, "effects": [each.to_json() for each in effects]})
    else:
        for each in (*((call,) if call is not None else ()), *effects):
            _show(terminal, each)
    found = (*((call,) if call is not None else ()), *effects)
    return Exit.OK if all(each.decision.allowed for each in found) else Exit.REFUSED


def _call(arguments: Namespace, sandbox: Sandbox, tool: str, words: list[str]) -> Explanation:
    document = None if arguments.document is None else document_of(arguments.document)
    scopes = tuple(arguments.scope) if arguments.scope is not None else SHIPPED_SCOPES
    subject = Subject(arguments.subject, tuple(arguments.role or ()), arguments.tenant, scopes)
    given = arguments_from(words, _schema(words))
    return sandbox.explain_call(
        tool, given, subject=subject, session=arguments.session, action=arguments.kind or "", document=document
    )


def _schema(words: list[str]) -> dict[str, Any]:
    """That of a tool which is not looked at: an argument is what it reads as in JSON, else a text."""
    anything = {"anyOf": [{"type": each} for each in ("string", "boolean", "integer", "number", "array", "object")]}
    return {"properties": {word.partition("=")[0]: anything for word in words}}


def _show(terminal: Terminal, each: Explanation) -> None:
    decision = each.decision
    terminal.line(f"{decision.effect.value.replace('_', ' ')}: {decision.reason}", colour=_COLOURS[decision.effect])
    for line in _considered(each):
        terminal.line(line)
    if each.change is not None:
        answer = each.change.answer.value.replace("_", " ")
        terminal.note(f"  help: {', and '.join(each.change.say)}: then the answer is {answer}")
        for one in each.change.commands:
            terminal.note(f"  help: `{one}`")


def _considered(each: Explanation) -> Iterator[str]:
    for one in each.considered:
        says = "nothing" if one.effect is None else one.effect.value.replace("_", " ")
        decided = "  <- decided" if one.decided else ""
        origin = f" ({one.origin})" if one.origin else ""
        yield f"  {one.section} {json.dumps(one.name)}{origin}: {says}, applies: {_SIGN[one.matched]}; {one.why}{decided}"
