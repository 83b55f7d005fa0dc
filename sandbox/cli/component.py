"""`sandbox component`: install components, accept what they ask for, look at them, take them away.

Decides how a component is shown before somebody accepts it, and when a person is asked. What an installation means is
`sandbox.registry.registry`.

Rules: what was shown is what is installed, bytes and request; nothing is accepted without a flag or a typed yes, and where
nobody can be asked nothing is. No component is run.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.api import Sandbox
from sandbox.cli.confirming import somebody_is_there, yes
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.inspected import show, show_list
from sandbox.cli.parser import refuse
from sandbox.cli.policy.opening import given
from sandbox.cli.terminal import Terminal
from sandbox.errors import ComponentError, SandboxError, unknown_component
from sandbox.registry.inspection import ComponentView, Inspection
from sandbox.registry.sources import components_in
from sandbox.remote import components_loaded


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run one of the commands."""
    work = {"load": _load, "accept": _accept, "unload": _unload, "list": _list, "inspect": _inspect}[arguments.action]
    return asyncio.run(_opened(work, arguments, terminal))


async def _opened(work: Any, arguments: Namespace, terminal: Terminal) -> int:
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return int(await work(sandbox, arguments, terminal))


async def _load(sandbox: Sandbox, arguments: Namespace, terminal: Terminal) -> int:
    (word,) = arguments.words
    sources = await asyncio.to_thread(_sources, word)
    if len(sources) > 1 and (arguments.name or arguments.digest):
        refuse(f"`{word}` has {len(sources)} components", "name one of them for `--name` and `--digest`")
    loaded: list[ComponentView] = []
    refused: list[tuple[str, SandboxError]] = []
    for source in sources:
        try:
            loaded.append(await _load_one(sandbox, source, arguments, terminal))
        except ComponentError as error:
            if len(sources) == 1:
                raise
            refused.append((str(source), error))
    for place, reason in refused:
        terminal.note(f"error: {place} is left out: {reason}")
    if terminal.json:
        terminal.data([view.to_json() for view in loaded])
    return Exit.DOCUMENT if refused else Exit.OK


def _sources(word: str) -> Sequence[Path | str]:
    return components_in(Path(word)) if "://" not in word and Path(word).is_dir() else [word]


async def _load_one(sandbox: Sandbox, source: Path | str, arguments: Namespace, terminal: Terminal) -> ComponentView:
    with terminal.working(f"reading {source}"):
        inspection = await sandbox.inspect(
            str(source) if "://" in str(source) else Path(source), name=arguments.name, digest=arguments.digest
        )
    if not terminal.json:
        show(inspection, terminal)
    accepted = _answer(inspection, arguments, terminal)
    before = _standing(sandbox, inspection.name)
    await sandbox.install(inspection, **accepted)
    same = before is not None and before == _standing(sandbox, inspection.name)
    said = "was installed in these very bytes already: nothing changes" if same else "is installed"
    return _told(sandbox, inspection.name, said, terminal)


def _standing(sandbox: Sandbox, name: str) -> tuple[ComponentView, str] | None:
    """An installed component as it is shown, but for the time, and the text of its policy."""
    view = next((one for one in sandbox.components() if one.name == name and one.installed), None)
    return None if view is None else (replace(view, installed_at=None), sandbox.accepted_policy(name).text)


async def _accept(sandbox: Sandbox, arguments: Namespace, terminal: Terminal) -> int:
    (name,) = arguments.words
    if name not in (known := {view.name for view in sandbox.components()}):
        raise unknown_component(name, known)
    inspection = await sandbox.inspect(name)
    if not terminal.json:
        show(inspection, terminal)
    accepted = _answer(inspection, arguments, terminal)
    if not accepted:
        refuse("nothing is accepted", "say `--yes`, `--accept-tools`, or `--policy FILE|NAME`")
    await sandbox.accept(inspection, **{"accept_request": False, "accept_changes": False, **accepted})
    view = _told(sandbox, name, "is accepted", terminal)
    if terminal.json:
        terminal.data(view.to_json())
    return Exit.OK


async def _unload(sandbox: Sandbox, arguments: Namespace, terminal: Terminal) -> int:
    receipts = [await sandbox.unload(name) for name in arguments.words]
    if terminal.json:
        terminal.data([receipt.to_json() for receipt in receipts])
        return Exit.OK
    for receipt in receipts:
        stopped = len(receipt.every_stop)
        terminal.line(f"{receipt.component} is gone" + (f"; {stopped} running calls were stopped" if stopped else ""))
        for server in receipt.unconfirmed:
            terminal.note(f"  the server {server} did not confirm: it looks before its next call")
    return Exit.OK


async def _list(sandbox: Sandbox, arguments: Namespace, terminal: Terminal) -> int:  # noqa: ARG001 - as its siblings
    views = sandbox.components()
    there = await components_loaded(sandbox.home / "run")
    if terminal.json:
        own = [{**view.to_json(), "servers": there.pop(view.name, {}).get("servers", [])} for view in views]
        terminal.data([*own, *there.values()])
        return Exit.OK
    show_list(views, {name: view["servers"] for name, view in there.items()}, terminal)
    for name in sorted(there.keys() - {view.name for view in views}):
        source, servers = there[name]["source"], ", ".join(there[name]["servers"])
        terminal.line(f"{name} is not installed; it is loaded from {source or 'a file'} in the running server {servers}")
    return Exit.OK


async def _inspect(sandbox: Sandbox, arguments: Namespace, terminal: Terminal) -> int:
    with terminal.working(f"reading {arguments.words[0]}"):
        inspection = await sandbox.inspect(arguments.words[0], digest=arguments.digest)
    if terminal.json:
        terminal.data(inspection.to_json())
    else:
        show(inspection, terminal)
    return Exit.OK


def _answer(inspection: Inspection, arguments: Namespace, terminal: Terminal) -> dict[str, Any]:
    """What is accepted: by the command line, else by a person who is asked where one is there."""
    if arguments.policy is not None:
        return {"policy": given(arguments.policy, tuple(arguments.waive))}
    if arguments.accept:
        return {"accept_request": True, "accept_changes": True}
    if arguments.accept_tools:
        return {"accept_changes": True}
    return _asked(inspection) if somebody_is_there(terminal) else {}


def _asked(inspection: Inspection) -> dict[str, Any]:
    accepted: dict[str, Any] = {}
    if inspection.changes and yes("accept its changed tools?"):
        accepted["accept_changes"] = True
    if inspection.asked is not None and inspection.asked.acceptable and (not inspection.changes or accepted):
        accepted |= {"accept_request": True} if yes("accept what it asks for?") else {}
    return accepted


def _told(sandbox: Sandbox, name: str, what: str, terminal: Terminal) -> ComponentView:
    """The component as it is now, and what a person is told of it."""
    view = next(one for one in sandbox.components() if one.name == name)
    if not terminal.json:
        under = f"under {view.policy}" if view.accepted_by else "without any permission"
        terminal.line(f"{name} {what}, {under}")
        for line in (*view.problems, *view.waiting):
            terminal.note(f"  {line}")
    return view
