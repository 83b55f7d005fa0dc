"""The host as an object: load components, call their tools, read and change their policies.

Everything that MCP and the command line do goes through `Sandbox`. It decides nothing itself: `sandbox.dispatch` carries a call,
`sandbox.changes.applying` makes a change hold, the store remembers, the record says what happened.

Rules: a change is persisted and recorded before it is acknowledged; what it takes away stops running calls before it is
acknowledged; a revoke holds even where it can no longer be recorded. Not for several threads: one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from sandbox.admission import Authorizer, Subject, new_request_id
from sandbox.admission.subject import NOTHING
from sandbox.changes.admitted import Admitted
from sandbox.changes.answering import Answering, wait_of, webhook_of
from sandbox.changes.applying import Changes
from sandbox.changes.approving import Approvals
from sandbox.changes.asking import Inquiries, Person
from sandbox.changes.auditing import Auditing
from sandbox.changes.authentications import Authentications
from sandbox.changes.budgeting import Budgeting
from sandbox.changes.checking import Checking
from sandbox.changes.explaining import Explaining
from sandbox.changes.granting import Granting
from sandbox.changes.permissions import Permissions
from sandbox.changes.requests import Requests
from sandbox.changes.roles import Roles
from sandbox.changes.runs import Runs
from sandbox.changes.signalling import Signalling
from sandbox.changes.signals import Signals
from sandbox.changes.stopping import Stopping
from sandbox.changes.watching import Watching
from sandbox.changes.workflows import Sharing
from sandbox.components import Components, LoadedComponent
from sandbox.config.approvals import ApprovalKeys
from sandbox.config.proxy import Proxy
from sandbox.config.spending import BudgetSection
from sandbox.config.telemetry import Collector
from sandbox.control import MAX_LEFT_OUT, MAX_WHY, ControlSocket, Status, status_all
from sandbox.dispatch import Call, Dispatch
from sandbox.errors import HostUnavailable, SandboxError
from sandbox.host.host import Host
from sandbox.host.layers.report import LayerReport
from sandbox.host.settings import HostSettings
from sandbox.in_force.accepted import Documents, Given
from sandbox.in_force.admitting import Admitting
from sandbox.in_force.effective import Around
from sandbox.in_force.in_use import Secrets, login_of
from sandbox.in_force.keeping import Keeping
from sandbox.in_force.metering import Metering
from sandbox.in_force.shared import shared_of
from sandbox.policy.load import load_policy_file
from sandbox.policy.models import PolicyDocument
from sandbox.receipt import Receipt
from sandbox.recording import Recording
from sandbox.registry.installing import Installing, Kept
from sandbox.registry.loading import Loading
from sandbox.registry.looking import Looking
from sandbox.registry.planning import Planning
from sandbox.registry.registry import Registry
from sandbox.registry.standing import Standing
from sandbox.remote import answers
from sandbox.result import CallResult
from sandbox.state import Clock, Home, open_store, state_of
from sandbox.state.clock import record_a_clock_set_back
from sandbox.state.hidden import Hidden
from sandbox.state.opening import open_key_values
from sandbox.state.recorded import open_record
from sandbox.state.secrets import SecretStore
from sandbox.state.usage import open_usage
from sandbox.tracing import Tracing
from sandbox.workshop import Workshop

if TYPE_CHECKING:
    from sandbox.admission.document.models import AdmissionDocument

_LOG = logging.getLogger("sandbox")


class Sandbox(
    Loading,
    Looking,
    Admitted,
    Watching,
    Auditing,
    Authentications,
    Answering,
    Budgeting,
    Permissions,
    Installing,
    Requests,
    Roles,
    Runs,
    Sharing,
    Signalling,
    Workshop,
    Explaining,
    Checking,
):
    """A host with its home, its components and their policies. `async with Sandbox() as sandbox: …`

    `home` is where state, record, cache and data lie; `state` says where grants are kept, as the configuration does, or `memory`.
    `ceiling` is the most that any policy may give here; with `isolation="strict"` it does not start where a layer of the
    operating system is missing. `nameserver` is `HOST:PORT`, `proxy` the only way out.
    `source` names who uses it in the record. `defaults` maps patterns of component names to the policies (files or names) that
    hold where nobody accepted one. `own_files` are files of the operator's that no policy may name. `person` is who can be asked.
    `telemetry` is the collector that its calls' traces, and the record, are sent to. `approvals` is who hears of one.
    The processes of the host are started by the first `load`, or by the first call of a component that is installed.

    Raises HostUnavailable where the home cannot be used safely, and PolicyError for a broken ceiling.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        ceiling: PolicyDocument | Path | None = None,
        state: str = "sqlite",
        isolation: Literal["default", "strict"] = "default",
        nameserver: str | None = None,
        proxy: Proxy | None = None,
        max_workers: int = 16,
        spares: int = 2,
        source: str = "python",
        environment: Mapping[str, str] | None = None,
        admission: AdmissionDocument | Path | str | None = None,
        budgets: BudgetSection | None = None,
        defaults: Mapping[str, Path | str] | None = None,
        own_files: Iterable[Path] = (),
        person: Person | None = None,
        telemetry: Collector | None = None,
        approvals: ApprovalKeys | None = None,
    ) -> None:
        self._home_path, self._ceiling, self._source = home, ceiling, source
        self._state = state_of(state)
        self._environment = os.environ if environment is None else environment
        self._host_options: dict[str, Any] = {
            "isolation": isolation,
            "nameserver": _address(nameserver),
            "proxy": proxy,
            "max_workers": max_workers,
            "spares": spares,
            "environment": self._environment,
        }
        self._components, self._person, self._approval_keys = Components(), person, approvals
        self._collector, self._tracing = telemetry, None
        self._documents, self._admission, self._budgets = Documents(defaults), admission, budgets
        named = (admission,) if isinstance(admission, Path) else ()
        self._own_files = tuple(os.path.realpath(file) for file in (*own_files, *named, *self._state.own))
        self._host: Host | None = None
        self._control: ControlSocket | None = None
        self._signals = Signals(self._components, lambda: self._log, lambda: self._host, lambda: self._dispatch.authorizer)
        self._starting = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._open = False

    async def __aenter__(self) -> Self:
        if self._open:
            raise RuntimeError("a Sandbox is opened once")
        ceiling = load_policy_file(self._ceiling) if isinstance(self._ceiling, Path) else self._ceiling
        self._home = Home.open(self._home_path, self._environment)
        if self._collector is not None:
            self._tracing = Tracing(self._collector, SecretStore.of(self._home, self._environment))
        self._store = open_store(self._state, self._home, self._environment)
        self._clock = Clock(self._store.latest())
        self._log = open_record(self._home, self._environment, clock=self._clock, source=self._source)
        if self._tracing is not None:
            self._log.listeners += self._tracing.listeners
        self._changes = Changes(
            components=self._components,
            around=Around(self._home, ceiling, self._environment, self._own_files, shared_of(self._store, self._environment)),
            documents=self._documents,
            store=self._store,
            log=self._log,
            clock=self._clock,
            stopper=lambda: self._host,
            changed=self._tell,
        )
        self._granting = Granting(
            changes=self._changes,
            documents=self._documents,
            store=self._store,
            log=self._log,
            clock=self._clock,
            run=self._home.run,
            own_socket=lambda: "" if self._control is None else self._control.name,
        )
        self._inquiries = Inquiries(self._granting)
        self._standing = Standing(
            components=self._components,
            documents=self._documents,
            store=self._store,
            changes=self._changes,
            start=self._started,
            folder=self._home.components,
        )
        self._changes.reconcile = self._standing.reconcile
        self._registry = Registry(
            home=self._home,
            store=self._store,
            changes=self._changes,
            granting=self._granting,
            standing=self._standing,
            planning=Planning(self._store, self._documents, self._changes, self._standing),
            settings=self._settings,
        )
        self._admitting = Admitting(self._admission, self._log, clock=self._clock, changed=self._tell)
        counts = partial(open_usage, self._state, self._home, self._environment)
        around = (self._admitting.authorizer, self._budgets, self._store, counts)
        self._metering = Metering(*around, host=lambda: self._host, clock=self._clock)
        self._listeners.append(self._metering.renew)
        self._keeping = Keeping(lambda: open_key_values(self._state, self._home, self._environment))
        authorizer = self._admitting.authorizer
        self._webhook = webhook_of(self._approval_keys, SecretStore.of(self._home, self._environment), self._clock)
        hidden = Hidden.here_alone() if self._state.kind == "memory" else Hidden.by_user(self._environment)
        about = (
            self._components.assigned.given,
            None if self._webhook is None else self._webhook.tell,
            wait_of(self._approval_keys),
        )
        self._approvals = Approvals(self._store, authorizer, self._log, self._clock, hidden, *about)
        self._dispatch = Dispatch(
            components=self._components,
            authorizer=authorizer,
            recording=Recording(self._log, self._clock, lambda: authorizer.ruleset is not None),
            store=self._store,
            host=lambda: self._standing.over(self._running_host),
            clock=self._clock,
            refresh=self._admitting.before(self._changes.refresh),
            secrets=Secrets(SecretStore.of(self._home, self._environment)),
            keeping=self._keeping,
            why_not=self._changes.why_not,
            signalled=self._signals.refused,
            metering=self._metering,
            approvals=self._approvals,
        )
        self._open = True
        record_a_clock_set_back(self._clock, self._log)
        self._granting.end_forgotten_sessions()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End every process of this host, and let go of the home."""
        if not self._open:
            return
        await self._granting.end_own_sessions()
        self._open = False
        await self._changes.close()
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await self._standing.close()
        await self._signals.close()
        if self._webhook is not None:
            await self._webhook.close()
        if self._control is not None:
            await self._control.close()
        if self._host is not None:
            await self._host.close()
        self._store.advance(self._clock())
        self._metering.close()
        self._keeping.close()
        self._store.close()
        self._log.close()
        if self._tracing is not None:
            await self._tracing.close()

    @property
    def home(self) -> Path:
        """The folder where this host remembers things."""
        return self._home.path

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, on the event loop, after the tools or a policy changed."""
        self._listeners.append(callback)

    async def restore(self, *, warm: bool = False) -> tuple[LoadedComponent, ...]:
        """Show every installed component from now on, those to come too; each is loaded when it is first called.

        What other processes install or unload is heard of at once. A component that cannot be shown is left out, and `components`
        says why. With `warm` the host's processes are started beside, so that the first call need not wait for them.

        Raises HostUnavailable where isolation is `strict` and a layer is missing, which only starting finds out.
        """
        self._require_open()
        if self._host_options["isolation"] == "strict":
            await self._started()
        elif warm and self._host is None:
            self._warming = asyncio.create_task(self._warm())
        self._standing.follow()
        async with self._starting:
            await self._listen()
        async with self._changes.lock:
            await self._changes.apply()
        return tuple(self._components.loaded[name].shown for name in sorted(self._standing.held))

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        subject: Subject | str = "local",
        session: str | None = None,
        call_id: str | None = None,
        metadata: Mapping[str, Any] = NOTHING,
        person: Person | None = None,
    ) -> CallResult:
        """Call a tool; cancelling the task kills the call's worker. Raises as `Dispatch.call` says.

        `person` is asked where a rule has somebody asked, while the call waits; without one the answer is no.
        """
        self._require_open()
        if self._standing.following:
            await self._standing.ready(tool)
        call_id = new_request_id() if call_id is None else call_id
        who = Subject.local(subject) if isinstance(subject, str) else subject
        call, person = Call(tool, arguments, who, session, call_id, metadata), person or self._person
        if self._tracing is None:
            return await self._carried(call, person)
        known = tool if self._components.find(tool) is not None else None
        return await self._tracing.call(known, metadata, lambda told: self._carried(replace(call, metadata=told), person))

    async def update_component_policy(self, component: str, policy: Given) -> Receipt:
        """Put another document in place of the accepted one. Raises NotFound, PolicyError.

        What it takes away stops running calls, what it adds holds from the next call.
        """
        return await self._opened().update(component, policy)

    async def servers(self) -> tuple[Status, ...]:
        """The other running servers of this home: what each has loaded, and which grants give nothing there, and why."""
        self._require_open()
        return await status_all(self._home.run, besides="" if self._control is None else self._control.name)

    async def doctor(self) -> LayerReport:
        """Which layers of the operating system hold here, as a worker found them."""
        return (await self._started()).layers()

    async def sync(self) -> None:
        """Apply what other processes changed in the store. Every call does so by itself."""
        await self._changes.refresh()

    async def _carried(self, call: Call, person: Person | None) -> CallResult:
        if person is None:
            return await self._dispatch.call(call)
        async with self._inquiries.of_call(person, call.subject.id) as ask:
            return await self._dispatch.call(replace(call, ask=ask, person=person))

    async def _started(self) -> Host:
        self._require_open()
        async with self._starting:
            if self._host is None:
                host = Host(self._settings())
                try:
                    await host.start()
                except BaseException:
                    await host.close()
                    raise
                self._host = host
                await self._listen()
        return self._host

    async def _warm(self) -> None:
        try:
            await self._started()
        except SandboxError as error:
            # The first call meets the same, and its caller is told.
            _LOG.error("the host does not start: %s", error)

    async def _listen(self) -> None:
        """Hear of what other processes change; to be called with `_starting` held."""
        if self._control is None:
            self._control = ControlSocket(
                self._home.run,
                sync=self._changes.sync,
                holds=self._changes.held,
                status=self._status,
                further=answers(components=self.components, tools=self.tools, call=self.call, policy=self.get_policy)
                | self._heard(),
            )
            await self._control.start()
            self._changes.follow()

    def _settings(self) -> HostSettings:
        login = login_of(self._host_options["proxy"], SecretStore.of(self._home, self._environment))
        return HostSettings(cache_folder=self._home.cache, proxy_login=login, **self._host_options)

    def _running_host(self) -> Host:
        if self._host is None:
            raise HostUnavailable("the host is not running")
        return self._host

    def _status(self) -> dict[str, Any]:
        left_out = {grant: why[:MAX_WHY] for grant, why in islice(self._changes.left_out().items(), MAX_LEFT_OUT)}
        components = sorted(self._components.loaded)
        return {"pid": os.getpid(), "components": components, "generation": self._changes.seen, "left_out": left_out}

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _kept(self) -> Kept:
        self._require_open()
        return Kept(self._registry, self._standing, self._granting)

    def _approving(self) -> Approvals:
        self._require_open()
        return self._approvals

    def _authorizer(self) -> Authorizer:
        return self._admitting.authorizer

    def _switch(self) -> Stopping:
        self._require_open()
        return Stopping(self._granting)

    def _opened(self) -> Granting:
        self._require_open()
        return self._granting

    def _require_open(self) -> None:
        if not self._open:
            raise HostUnavailable("the sandbox is not open", help="use it in `async with Sandbox() as sandbox:`")


def _address(nameserver: str | None) -> tuple[str, int] | None:
    if nameserver is None:
        return None
    host, colon, port = nameserver.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise SandboxError(f"`{nameserver}` names no nameserver", help="write `HOST:PORT`, as in `127.0.0.1:53`")
    return host.strip("[]"), int(port)
