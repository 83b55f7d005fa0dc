"""A real guest (`tests/guests/fs`) in the gates of this process, with a template of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from wasmtime import Engine, WasiConfig
from wasmtime.component import Component

from sandbox.errors import Code
from sandbox.host.engine import make_engine
from sandbox.host.gates import Gates, Prepared, passthrough_text, tunnel_text
from sandbox.host.gates.filesystem.answers import Error
from sandbox.host.gates.filesystem.sizes import Sizes
from sandbox.host.measure import bounded
from sandbox.host.outcome import Denial
from sandbox.template.template import Access, Effect, FileRule, Limits, Preopen, WasiTemplate

GUESTS = Path(__file__).parents[2] / "guests"
READ, WRITE, CREATE, DELETE = Access.READ, Access.WRITE, Access.CREATE, Access.DELETE
FOLLOW = 1
O_CREATE, O_DIRECTORY, O_EXCLUSIVE, O_TRUNCATE = 1, 2, 4, 8
FOLDER, LINK, FILE = 3, 5, 6  # of `descriptor-type`


def allow(pattern: str | Path, access: Access = Access.ALL) -> FileRule:
    return FileRule(Effect.ALLOW, str(pattern), access, "policy.yaml:1:1")


def sized(pattern: str | Path, file: int | None = None, total: int | None = None) -> FileRule:
    """Everything may be done, within these sizes."""
    return FileRule(Effect.ALLOW, str(pattern), Access.ALL, "policy.yaml:1:1", file, total)


def ask(pattern: str | Path, access: Access = Access.ALL) -> FileRule:
    """A person is asked before."""
    return FileRule(Effect.ASK, str(pattern), access, "policy.yaml:5:5")


def deny(pattern: str | Path, access: Access = Access.ALL) -> FileRule:
    return FileRule(Effect.DENY, str(pattern), access, "policy.yaml:9:9")


_bounding: list[Sizes] = []
"""Of the test that runs: they lower this very process's limit of a file's length."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    """No limit outlives a test, not even until its guests are closed: what is told of it may go into a long file."""
    try:
        return (yield)
    finally:
        while _bounding:
            _bounding.pop().end()


def refused(code: Error) -> int:
    """What the guest answers for an error code."""
    return -1 - code


DENIED = refused(Error.NOT_PERMITTED)


class Guest:
    """The guest under one template. `guest.open_at(…)` calls its `open-at`; handle 0 is the first mount, the last one `/`."""

    def __init__(self, gates: Gates, component: Component, template: WasiTemplate) -> None:
        self.gates, self.component, self.template = gates, component, template
        self.denials: list[Denial] = []
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self.pins = tuple((preopen, os.open(preopen.host_path, flags)) for preopen in template.preopens)
        self.over: list[str] = []
        self.sizes = Sizes(template.files, lambda _: None, self._grew_too_much) if bounded(template.files) else None
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.answer: Callable[[Denial], str | None] = lambda _: "a person was asked and did not allow it"
        """What is said to each question: None is a yes."""
        gates.bind(template, self.pins, None, self.denials.append, ask=self._ask, sizes=self.sizes)
        if self.sizes is not None:
            _bounding.append(self.sizes)
            self.sizes.begin(dict(enumerate(tree.measure(1 << 40) for tree in self.sizes.trees)))
        self.prepared: Prepared = gates.instantiate(component, WasiConfig())
        self.mounts: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        func = self.prepared.instance.get_func(self.prepared.store, name.replace("_", "-"))
        assert func is not None, name

        def call(*arguments: Any) -> Any:
            returned = func(self.prepared.store, *arguments)
            return bytes(returned) if isinstance(returned, bytes | bytearray | list) else returned

        return call

    def _ask(self, wanted: Denial) -> str | None:
        self.asked.append((wanted.target["path"], wanted.target["operation"], tuple(wanted.private["access"])))
        return self.answer(wanted)

    def _grew_too_much(self, name: str, rule: FileRule) -> None:
        self.over.append(f"{name} {rule.pattern}")

    def stored(self) -> list[int]:
        """What each tree has grown by; the call is over for its sizes."""
        assert self.sizes is not None
        grown = self.sizes.end()
        return [grown.get(number, 0) for number in range(len(self.sizes.trees))]

    @property
    def root(self) -> int:
        return self.mounts.index("/")

    def open(self, path: str, how: int = 0, flags: int = 1, base: int = 0) -> int:
        handle: int = self.open_at(base, FOLLOW, path, how, flags)
        return handle

    def content(self, path: str, base: int = 0) -> bytes | int:
        """What a file holds, through a stream; or the error."""
        handle = self.open(path, base=base)
        if handle < 0:
            return handle
        data = self.read_stream(handle, 0)
        self.drop(handle)
        assert isinstance(data, bytes)
        return data

    def names(self, handle: int) -> list[str]:
        return sorted(line[1:] for line in self.entries(handle).decode().splitlines())

    def denied(self) -> list[tuple[str, str]]:
        assert all(denial.code is Code.FILESYSTEM_ACCESS_DENIED for denial in self.denials)
        return [(denial.target["path"], denial.target["operation"]) for denial in self.denials]

    def close(self) -> None:
        if self.sizes is not None:
            self.sizes.end()
        self.gates.close(self.prepared)
        for _, pin in self.pins:
            os.close(pin)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return make_engine()


@pytest.fixture(scope="session")
def gates(engine: Engine) -> Gates:
    return Gates(engine, Component(engine, passthrough_text()), Component(engine, tunnel_text()))


@pytest.fixture(scope="session")
def component(engine: Engine) -> Component:
    return Component(engine, (GUESTS / "fs" / "fs.wasm").read_bytes())


Start = Callable[..., Guest]


@pytest.fixture
def start(gates: Gates, component: Component) -> Iterator[Start]:
    """Start the guest with mounts ({guest path: host folder}), rules and limits; closed after the test."""
    started: list[Guest] = []

    def make(mounts: dict[str, Path], *rules: FileRule, writable: bool = True, limits: Limits | None = None) -> Guest:
        preopens = tuple(Preopen(str(host), guest, writable) for guest, host in mounts.items())
        template = WasiTemplate(preopens=preopens, files=rules, limits=limits or Limits())
        started.append(guest := Guest(gates, component, template))
        guest.mounts = guest.preopens().decode().split()
        return guest

    yield make
    for guest in started:
        guest.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder to mount, with a file and a folder; beside it `outside`, with a secret."""
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    (folder / "f.txt").write_text("hello")
    (folder / "sub" / "g").write_text("deep")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("SECRET")
    return folder
