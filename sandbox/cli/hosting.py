"""Open a host with the components and policies of a command line.

Decides which policy a component gets: its own `--policy NAME=FILE`, else the one without a name, else none, and then the host
has the last word. A value with a path or an ending is a file, any other a named policy.
"""

from __future__ import annotations

import contextlib
import logging
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Literal

from sandbox.api import Sandbox
from sandbox.changes.asking import Person
from sandbox.cli.configured import configuration_of
from sandbox.cli.home import home_of, leave_no_core_dump, policy_value
from sandbox.components import LoadedComponent
from sandbox.errors import Code, ComponentError, PolicyError, SandboxError
from sandbox.in_force.accepted import Given, Waiving

_log = logging.getLogger(__name__)

Isolation = Literal["default", "strict"]

SERVING = frozenset({"http", "mcp"})
"""What stays and serves clients, as the record names it."""
NOTHING_INSTALLED = "no component is installed: `sandbox component load FILE.wasm` installs one"


def open_sandbox(
    arguments: Namespace, *, source: str, person: Person | None = None, isolation: Isolation | None = None
) -> Sandbox:
    """The host of a command line, as it is configured; not opened. `source` names this edge in the record.

    With another `isolation` than the configured one it is for looking at, never for serving.

    `person` is asked where a policy says so, and where a client cannot ask anybody.
    """
    configuration = configuration_of(arguments)
    leave_no_core_dump()
    return Sandbox(
        home_of(arguments),
        ceiling=configuration.ceiling,
        state=configuration.state,
        isolation=isolation or configuration.isolation,
        nameserver=getattr(arguments, "nameserver", None),
        proxy=configuration.proxy,
        # What ends at once has nobody to tell, and would wait for a collector that does not answer.
        telemetry=configuration.telemetry if source in SERVING else None,
        max_workers=configuration.max_workers,
        spares=configuration.spares,
        admission=configuration.admission,
        budgets=configuration.budgets,
        approvals=configuration.approvals,
        defaults=configuration.defaults,
        own_files=configuration.own_files,
        person=person,
        source=source,
    )


@contextlib.asynccontextmanager
async def hosting(arguments: Namespace, files: Sequence[str], *, person: Person | None = None) -> AsyncIterator[Sandbox]:
    """A started host with every component of `files` loaded; `person` is asked where a policy says so."""
    async with open_sandbox(arguments, source="terminal", person=person) as sandbox:
        await load_all(sandbox, files, arguments.policy, arguments.waive)
        yield sandbox


async def load_all(
    sandbox: Sandbox, files: Sequence[str], policies: Sequence[str], waive: Sequence[str] = (), *, serving: bool = False
) -> None:
    """Load the components, each under its policy, which may waive fields; without any, those that are installed.

    What is `serving` starts the host's processes at once, and not with the first call; then it is told what is doubtful of the
    installed ones. Another command may make a thousand calls: it uses `tell` where that is asked.

    Of several, a broken one is reported and left out, and one whose policy is refused is reported and granted nothing.

    Raises:
        SandboxError: the only policy is refused, one names no component, or no component is left.
    """
    if not files:
        await _restore(sandbox, policies, serving=serving)
        return
    chosen = _Policies.of(policies, [Path(file).stem for file in files])
    loaded: list[LoadedComponent] = []
    refused: list[tuple[str, ComponentError]] = []
    for file in files:
        try:
            policy = _waiving(chosen.of_component(Path(file).stem), waive)
            loaded.append(await sandbox.load(Path(file), policy=policy, lenient=len(files) > 1))
        except PolicyError:
            raise
        except ComponentError as error:
            refused.append((file, error))
    if not loaded:
        raise _named(*refused[0])
    for file, reason in refused:
        _log.error("%s is left out: %s", file, reason)
    tell(sandbox, loaded)


async def _restore(sandbox: Sandbox, policies: Sequence[str], *, serving: bool) -> None:
    if policies:
        raise _usage(
            "`--policy` needs a component", help="`sandbox component accept COMPONENT --policy FILE|NAME` is for an installed one"
        )
    restored = await sandbox.restore(warm=serving)
    if serving and not restored:
        _log.warning("%s, also while this runs", NOTHING_INSTALLED)
    if serving:
        tell(sandbox, restored)


def tell(sandbox: Sandbox, components: Iterable[LoadedComponent]) -> None:
    """Log why something is not as its author or its operator meant it, of each component."""
    for component in components:
        for problem in sandbox.get_policy(component.name).problems:
            _log.error("%s: nothing is granted: %s", component.name, problem)
        for text in (*component.warnings, *component.notes, *component.waiting):
            _log.warning("%s: %s", component.name, text)


def _waiving(policy: Path | str | None, fields: Sequence[str]) -> Given | None:
    return policy if policy is None or not fields else Waiving(policy, tuple(fields))


def _named(file: str, error: ComponentError) -> ComponentError:
    return error if file in error.message else ComponentError(f"{file}: {error.message}", help=error.help, code=error.code)


class _Policies:
    """What `--policy` said: by component, and for all others."""

    def __init__(self, named: dict[str, Path | str], others: Path | str | None) -> None:
        self._named = named
        self._others = others

    @classmethod
    def of(cls, values: Sequence[str], names: Sequence[str]) -> _Policies:
        named: dict[str, Path | str] = {}
        others: Path | str | None = None
        for value in values:
            name, equals, file = value.partition("=")
            if equals and name in names:
                named[name] = policy_value(file)
            elif equals and "/" not in name:
                raise _usage(
                    f"`--policy {value}` names no component", help=f"the components are {', '.join(f'`{n}`' for n in names)}"
                )
            elif others is not None:
                raise _usage(
                    "`--policy` is given twice for all components", help="write `--policy COMPONENT=FILE` for one of them"
                )
            else:
                others = policy_value(value)
        return cls(named, others)

    def of_component(self, name: str) -> Path | str | None:
        return self._named.get(name, self._others)


def _usage(message: str, *, help: str) -> SandboxError:  # noqa: A002 - the word of the error style
    return SandboxError(message, help=help, code=Code.INVALID_ARGUMENTS)
