"""A guest for a type, ready to be called."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from wasmtime import Engine, Store
from wasmtime.component import Component, Func, Linker

from sandbox.host.engine import make_engine
from sandbox.host.worker.values import Codec, Returned
from sandbox.wit.types import WitType
from tests.host.values.guests import echo


@dataclass
class Echo:
    """An echo guest in a store of its own."""

    codec: Codec
    store: Store
    func: Func

    def call(self, arguments: Any, output_bytes: int = 2**20) -> Returned:
        return self.codec.call(self.store, self.func, arguments, output_bytes)

    def __call__(self, value: Any, output_bytes: int = 2**20) -> Any:
        """The value that comes back, unwrapped again where the type is a `result`."""
        return json.loads(self.call({"x": value}, output_bytes).json_text)


@pytest.fixture(scope="session")
def engine() -> Engine:
    return make_engine()


@pytest.fixture(scope="session")
def guest(engine: Engine) -> Callable[[WitType], Echo]:
    """Makes an echo guest for a type."""

    def make(wit: WitType) -> Echo:
        text, export = echo(wit)
        store = Store(engine)
        instance = Linker(engine).instantiate(store, Component(engine, text))
        func = instance.get_func(store, "echo")
        assert func is not None
        return Echo(Codec(export), store, func)

    return make
