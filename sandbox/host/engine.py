"""The one engine configuration: compiled code loads only where the settings are the same.

Features that no tool needs are off. Imported by the compiler, the zygote and the tests of the gates, never by the server.
"""

from __future__ import annotations

from wasmtime import Config, Engine, _bindings

from sandbox.host.engine_settings import SETTINGS

__all__ = ["SETTINGS", "make_engine"]


def make_engine(*, fuel: bool = False) -> Engine:
    """An engine; with `fuel` its code counts instructions and runs 1.5–1.8× slower."""
    config = Config()
    config.wasm_threads = False
    config.shared_memory = False
    config.wasm_memory64 = False
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_exceptions = False
    config.wasm_stack_switching = False
    # wasmtime-py has no setters for these two. With them on, Wasmtime 50 traps ("deferred host scope has no call context")
    # in every host function that takes two borrows: `rename-at`, `link-at`, `is-same-object`.
    _bindings.wasmtime_config_wasm_component_model_async_set(config.ptr(), False)
    _bindings.wasmtime_config_concurrency_support_set(config.ptr(), False)
    config.consume_fuel = fuel
    return Engine(config)
