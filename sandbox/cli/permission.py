"""`sandbox permission`: grant, revoke and list while components run.

Leaves whether a grant is well formed and inside the ceiling to `sandbox.api`, which also tells every running server.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sandbox.api import Sandbox
from sandbox.changes.granting import About
from sandbox.changes.proposals import Change
from sandbox.cli.exits import Exit
from sandbox.cli.hosting import open_sandbox
from sandbox.cli.local_user import local_user
from sandbox.cli.terminal import Terminal
from sandbox.cli.times import clock, duration
from sandbox.control import Status
from sandbox.errors import Code, SandboxError
from sandbox.in_force.views import grant_json
from sandbox.policy.grants import (
    Grant,
    GrantKind,
    make_entry,
    make_entry_environment,
    make_entry_network,
    make_entry_storage,
)
from sandbox.receipt import Receipt

_KINDS: tuple[GrantKind, ...] = ("storage", "network", "environment", "resource")


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Run `permission grant`, `revoke`, `reset` or `list`."""
    return asyncio.run(_run(arguments, terminal))


async def _run(arguments: Namespace, terminal: Terminal) -> int:
    work = {"grant": _grant, "revoke": _revoke, "reset": _reset, "list": _list}[arguments.action]
    # Opened, and never loaded into: no process of a host is started for it.
    async with open_sandbox(arguments, source="terminal") as sandbox:
        return await work(arguments, terminal, sandbox)


async def _grant(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    about = _about(arguments)
    change = Change()
    if arguments.from_denial is not None:
        grant = await sandbox.grant_from_denial(
            _denial(arguments),
            reason=about.reason,
            expires_in=about.expires_in,
            max_uses=about.max_uses,
            lifetime=about.lifetime,
            who=about.who,
        )
    else:
        component, kind, entry = _entry(arguments)
        proposal = sandbox.propose(component, kind, entry, about=about, effect="deny" if arguments.deny else "allow")
        change = proposal.change
        grant = await sandbox.grant_proposed(proposal)
    refused_by = _refused_by(await sandbox.servers())
    if terminal.json:
        terminal.data({**_shown(grant, refused_by), "change": change.to_json()})
    else:
        terminal.line(f"granted {grant.id}: {grant.component_name} {_spelled(grant)} ({_lifetime(grant)})")
        _tell(change, terminal)
    _warn([grant], refused_by, terminal)
    return Exit.OK


def _tell(change: Change, terminal: Terminal) -> None:
    for sign, lines in (("+", change.gives), ("-", change.takes)):
        for line in lines:
            terminal.line(f"  {sign} {line}")
    for one in change.wider_than:
        terminal.line(f"  wider than: {one.line} ({one.origin})")


def _refused_by(servers: Sequence[Status]) -> dict[str, list[tuple[str, str]]]:
    """Which running servers do not give what a grant says, each with the reason, by the grant's id."""
    found: dict[str, list[tuple[str, str]]] = {}
    for server in servers:
        for grant, why in server.left_out:
            found.setdefault(grant, []).append((server.server, why))
    return found


def _shown(grant: Grant, refused_by: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    return {**grant_json(grant), "refused_by": [{"server": name, "why": why} for name, why in refused_by.get(grant.id, ())]}


def _warn(grants: Sequence[Grant], refused_by: dict[str, list[tuple[str, str]]], terminal: Terminal) -> None:
    for grant in grants:
        for server, why in refused_by.get(grant.id, ()):
            terminal.note(f"WARNING: the running server {server} does not accept {grant.id}, which gives nothing there: {why}")


def _denial(arguments: Namespace) -> str:
    """The denial's id. The component may be named before it, as the command in a denial does."""
    if len(arguments.words) > 1:
        _usage("`--from-denial` says what is granted", "leave out the words behind the component")
    return str(arguments.from_denial)


def _entry(arguments: Namespace) -> tuple[str, GrantKind, dict[str, Any]]:
    component, kind, values = _words(arguments.words)
    effect = "deny" if arguments.deny else "allow"
    if kind == "storage":
        access = [word.strip() for word in arguments.access.split(",")]
        sizes = {"max_file_size": arguments.max_file_size, "max_total_size": arguments.max_total_size}
        entry = make_entry_storage(_one(kind, values), access, mount=arguments.mount, effect=effect, **sizes)
        return component, kind, entry
    if kind == "network":
        host = None if arguments.cidr and not values else _one(kind, values)
        ports = None if arguments.port is None else [int(port) if port.isdecimal() else port for port in arguments.port]
        rules = {"ports": ports, "protocols": arguments.protocol, "methods": arguments.method, "paths": arguments.path}
        limits = _limits("--limit", arguments.limit, "requests=60/min") if arguments.limit else None
        return component, kind, make_entry_network(host, cidr=arguments.cidr, limits=limits, effect=effect, **rules)
    if kind == "environment":
        key, equals, value = _one(kind, values).partition("=")
        return component, kind, make_entry_environment(key, value=value if equals else None, effect=effect)
    return component, kind, make_entry("resource", _limits("resource", values, "memory=64Mi wall_time=10s"), effect)


def _words(words: Sequence[str]) -> tuple[str, GrantKind, list[str]]:
    if len(words) < 2:
        _usage("what is granted is not said", "write `COMPONENT storage|network|environment|resource …`, or `--from-denial ID`")
    kind = next((kind for kind in _KINDS if kind == words[1]), None)
    if kind is None:
        _usage(
            f"`{words[1]}` is no kind of permission", f"write {', '.join(f'`{kind}`' for kind in _KINDS)} behind the component"
        )
    return words[0], kind, list(words[2:])


def _one(kind: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        wanted = {"storage": "one URI: `fs:///srv/data/**`", "network": "one host: `api.example.com`"}
        _usage(f"`{kind}` wants {wanted.get(kind, 'one variable: `KEY` or `KEY=VALUE`')}", "one grant for each")
    return values[0]


def _limits(asked: str, values: Sequence[str], example: str) -> dict[str, Any]:
    limits = dict(value.partition("=")[::2] for value in values)
    if not limits or not all(limits.values()):
        _usage(f"`{asked}` wants `LIMIT=VALUE`", f"for example `{example}`")
    return {name: int(value) if value.isdecimal() else value for name, value in limits.items()}


def _about(arguments: Namespace) -> About:
    expires_in = None if arguments.expires_in is None else duration(arguments.expires_in)
    return About(local_user(), arguments.reason, expires_in, arguments.max_uses, arguments.lifetime or "lasting")


async def _revoke(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    receipts = [(grant_id, await sandbox.revoke(grant_id)) for grant_id in _to_revoke(arguments, sandbox)]
    return _revoked(receipts, terminal)


async def _reset(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    if bool(arguments.words) == arguments.all:
        _usage("what is reset is not said", "write `COMPONENT`, or `--all`")
    if not arguments.all:
        receipts = await sandbox.reset_permissions(arguments.words[0])
        return _revoked([(grant.id, receipt) for grant, receipt in receipts], terminal)
    receipt, forgotten = await sandbox.reset_everything()
    if terminal.json:
        terminal.data({**receipt.to_json(), "forgotten": list(forgotten)})
        return Exit.OK
    terminal.line("every grant has ended")
    if forgotten:
        terminal.note(f"WARNING: the store was changed by something else; forgotten is what it said of: {', '.join(forgotten)}")
    return Exit.OK


def _revoked(receipts: Sequence[tuple[str, Receipt]], terminal: Terminal) -> int:
    if terminal.json:
        terminal.data([{"grant": grant_id, **receipt.to_json()} for grant_id, receipt in receipts])
        return Exit.OK
    for grant_id, receipt in receipts:
        terminal.line(f"revoked {grant_id}")
        for stopped in receipt.every_stop:
            done = "reset the connections of" if stopped.connections_only else "stopped"
            terminal.line(f"  {done} a call of {stopped.tool} ({stopped.call_id}) after {stopped.ms:.1f} ms")
        for server in receipt.unconfirmed:
            terminal.note(f"  the server {server} did not confirm: it looks before its next call")
    if not receipts:
        terminal.note("no grants hold")
    return Exit.OK


def _to_revoke(arguments: Namespace, sandbox: Sandbox) -> list[str]:
    if arguments.words and not arguments.all and arguments.component is None:
        return [arguments.words[0]]
    if arguments.words or not (arguments.all and arguments.component):
        _usage("what is revoked is not said", "write `GRANT_ID`, or `--component COMPONENT --all`")
    return [grant.id for grant in _grants_of(arguments.component, sandbox)]


def _grants_of(component: str | None, sandbox: Sandbox) -> tuple[Grant, ...]:
    """The grants of a component, or all. Raises NotFound where nobody knows a component of that name."""
    grants = sandbox.grants(component)
    if component is not None and not grants:
        sandbox.get_policy(component)
    return grants


async def _list(arguments: Namespace, terminal: Terminal, sandbox: Sandbox) -> int:
    grants = _grants_of(arguments.words[0] if arguments.words else None, sandbox)
    refused_by = _refused_by(await sandbox.servers())
    if terminal.json:
        terminal.data([_shown(grant, refused_by) for grant in grants])
    else:
        rows = [_row(grant) for grant in grants]
        none = f"no grants hold for `{arguments.words[0]}`" if arguments.words else "no grants hold"
        terminal.table(("GRANT", "COMPONENT", "WHAT", "WHO", "FOR", "UNTIL", "WHY"), rows, none=none)
    _warn(grants, refused_by, terminal)
    return Exit.OK


def _row(grant: Grant) -> tuple[str, ...]:
    until = clock(grant.expires_at)
    return (grant.id, grant.component_name, _spelled(grant), grant.who, _lifetime(grant), until, grant.why or "")


def _lifetime(grant: Grant) -> str:
    """How long a grant holds, besides its expiry."""
    session = "" if grant.session is None else f"session {grant.session[:8]}"
    if grant.lifetime == "once":
        return f"one call of {session}" if session else "one call"
    calls = "" if grant.max_uses is None else f", {grant.max_uses - grant.uses} more calls"
    return (session or "lasting") + calls


def _spelled(grant: Grant) -> str:
    entry = {
        key: ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, given in sorted(grant.entry.items())
        for key, value in (given.items() if isinstance(given, Mapping) else ((name, given),))
    }
    return " ".join((grant.effect.value, grant.kind, *(f"{key}={value}" for key, value in entry.items())))


def _usage(message: str, help: str) -> NoReturn:  # noqa: A002 - the word of the error style
    raise SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)
