"""`load_component` and `unload_component`: a person has seen what it is, and loading accepts nothing of what it asks for.

Decides what is looked at before the question. Leaves what a component is and what an update means to `sandbox.registry.registry`.

Rules: a file is read, never run, before the question, so that the person sees its digest, its tools and what it asks for, and
that very file is loaded after a yes; of a file that cannot be loaded a client learns that and no more, since it named the path.
A URL is not fetched before a yes: whoever asks would have this host send requests wherever he likes. What a component asks for is
never accepted here: that is lasting, and a person's at a terminal. What is unloaded is gone for every client of this home, so a
person is asked that too.
"""

from __future__ import annotations

import logging
import shlex
from typing import Any

from sandbox.api import Sandbox
from sandbox.components import LoadedComponent
from sandbox.errors import ComponentError, GrantError, SandboxError
from sandbox.in_force.accepted import DEFAULTS, NOBODY, Accepted
from sandbox.policy.effect import Effect
from sandbox.policy.grants import Grant
from sandbox.registry.inspection import Inspection
from sandbox.server.builtin.arguments import Load
from sandbox.server.builtin.asking import Question
from sandbox.server.builtin.questions import about_component, digest
from sandbox.wit.docs import clean

MAX_TOOLS_SHOWN = MAX_GRANTS_SHOWN = 40
_log = logging.getLogger(__name__)


async def ask_to_load(sandbox: Sandbox, asked: Load, who: str) -> Question:
    """The question about a component. Raises ComponentError where it cannot be loaded."""
    command = shlex.join(
        [
            *("sandbox", "component", "load", asked.path),
            *((f"--digest={asked.digest}",) if asked.digest else ()),
            *((f"--name={asked.name}",) if asked.name else ()),
        ]
    )
    same = f"load {asked.path} {asked.digest}"
    if "://" in asked.path:
        return _of_url(sandbox, asked, who, command, same)
    if not asked.path.startswith("/"):
        # Relative to this server it would mean what nobody sees; and an option, where a person takes the command over.
        raise GrantError("a component is named by its whole path, or by an https URL", help="write `path: /srv/tools/notes.wasm`")
    found = await _inspected(sandbox, asked)

    async def load() -> dict[str, Any]:
        made = await sandbox.install(
            asked.path, name=found.name, digest=f"sha256:{found.digest}", accept_changes=True, who=who, alone=True
        )
        return _loaded(sandbox, made, command if found.asked is not None else None)

    under, granted = sandbox.held_unasked(found.name, found.digest), sandbox.granted_unasked(found.name, found.digest)
    return Question(_question(found, under, granted), load, command, same)


def ask_to_unload(sandbox: Sandbox, name: str) -> Question:
    """The question about taking a component away. Raises NotFound."""
    view = sandbox.get_policy(name)
    tools = sorted(tool.name for tool in sandbox.tools() if tool.component == name)
    lines = [
        f"Its tools: {_listed(tools)}" if tools else "It has no tools here.",
        "It is gone then for every client and every server of this host; its running calls are stopped.",
        "What was accepted and granted stays remembered for its bytes.",
    ]

    async def unload() -> dict[str, Any]:
        await sandbox.unload(name)
        return {"component_id": name, "unloaded": True}

    facts = {"Name": name, "Component": digest(view.digest)}
    command = shlex.join(("sandbox", "component", "unload", name))
    return Question(about_component("unload", facts, lines), unload, command, f"unload {name}")


def _of_url(sandbox: Sandbox, asked: Load, who: str, command: str, same: str) -> Question:
    if not asked.digest and "#sha256=" not in asked.path:
        raise GrantError("a URL needs the `digest` of what lies there", help="write `digest: sha256:…`")

    async def load() -> dict[str, Any]:
        made = await sandbox.install(asked.path, name=asked.name, digest=asked.digest, who=who, alone=True)
        return _loaded(sandbox, made, command)

    facts = {"From": asked.path, "SHA-256": asked.digest or "as the URL says", "Name": asked.name or "as its file"}
    note = (
        "It is fetched after a yes, which accepts no permission; what was given before to these very bytes holds again. "
        "An update that changed has no tools before it is accepted."
    )
    return Question(about_component("load", facts, [note]), load, command, same)


async def _inspected(sandbox: Sandbox, asked: Load) -> Inspection:
    try:
        return await sandbox.inspect(asked.path, name=asked.name, digest=asked.digest)
    except (SandboxError, OSError) as error:  # whatever may be behind a path: what it says is the operator's
        _log.warning("`%s` was not loaded: %s", asked.path, error)
        raise ComponentError("there is no component that can be loaded", help="the server's log says more") from error


def _question(found: Inspection, under: Accepted, granted: tuple[Grant, ...]) -> str:
    facts = {"Name": found.name, "Component": digest(found.digest), "From": found.source, "Size": f"{found.size} bytes"}
    names = [tool.name for tool in found.tools]
    lines = [f"Tools: {_listed(names)}"]
    lines += [f"In place of {digest(found.before)}, with these changes:"] if found.before is not None else []
    lines += [f"  {clean(change.line, 300).text}" for change in found.changes]
    lines += [f"DOUBT: {clean(doubt, 300).text}" for doubt in found.doubts]
    asks = () if found.asked is None else found.asked.lines
    goes_by = _goes_by(under)
    given = "is granted nothing of it now" if goes_by is None and not granted else "a yes accepts nothing of it"
    lines += [f"It asks for this, and {given}:"] if asks else ["It asks for no permission."]
    lines += [f"  {one.line} ({one.standing} the ceiling)" for one in asks]
    lines += [] if goes_by is None else [f"It goes by {goes_by}."]
    lines += ["Given before to these very bytes or to that name, this holds at once, inside the ceiling:"] if granted else []
    lines += [f"  {_line(grant)}" for grant in granted[:MAX_GRANTS_SHOWN]]
    lines += [f"  and {len(granted) - MAX_GRANTS_SHOWN} more"] if len(granted) > MAX_GRANTS_SHOWN else []
    return about_component("load", facts, lines)


def _line(grant: Grant) -> str:
    entry = " ".join(f"{key}={_word(value)}" for key, value in grant.entry.items() if key != "value")
    return clean(f"{grant.effect} {grant.kind} {entry} (grant {grant.id})", 300).text


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_TOOLS_SHOWN
    return ", ".join(names[:MAX_TOOLS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _goes_by(accepted: Accepted) -> str | None:
    """What holds for a component without anybody's yes, in words; None where that is nothing."""
    if accepted.by == NOBODY:
        return None
    why = "the default for its name here" if accepted.by == DEFAULTS else "which was accepted for these very bytes before"
    return f"{accepted.file}, {why}"


def _loaded(sandbox: Sandbox, made: LoadedComponent, command: str | None) -> dict[str, Any]:
    goes_by = _goes_by(sandbox.accepted_policy(made.name))
    granted = sum(grant.effect is Effect.ALLOW for grant in sandbox.granted_unasked(made.name, made.digest))
    nothing = f"what was granted to it before holds again, {granted} in all" if granted else "nothing is granted to it"
    note = "list the tools again; " + (nothing if goes_by is None else f"it goes by {goes_by}")
    accept = f"; what it asks for is accepted in a terminal: `{command} --accept`" if command is not None else ""
    return {
        "component_id": made.name,
        "digest": digest(made.digest),
        "tools": [tool.name for tool in made.tools],
        "note": note + accept,
    }
