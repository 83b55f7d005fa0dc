"""`wasi:config` and `wasi:logging`: small interfaces of the host's own."""

from __future__ import annotations

import os

import pytest
from wasmtime import Engine, WasiConfig
from wasmtime.component import Component

from sandbox.host.gates import Gates, config, logging
from sandbox.template.template import WasiTemplate

# Asks for a key, logs a message of two lines, and answers with the tag of what it got: 0 is `ok(none)`.
GUEST = """
(component
  (import "{config}" (instance $config
    (type $def (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $def)))
    (export "get" (func (param "key" string) (result (result (option string) (error $error)))))
    (export "get-all" (func (result (result (list (tuple string string)) (error $error)))))))
  (import "{logging}" (instance $logging
    (type $def (enum "trace" "debug" "info" "warn" "error" "critical"))
    (export "level" (type $level (eq $def)))
    (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
  (core module $memory (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 512))
    (data (i32.const 0) "keytwo\\0alines"))
  (core instance $m (instantiate $memory))
  (alias core export $m "memory" (core memory $mem))
  (alias core export $m "realloc" (core func $realloc))
  (core func $get (canon lower (func $config "get") (memory $mem) (realloc $realloc)))
  (core func $get-all (canon lower (func $config "get-all") (memory $mem) (realloc $realloc)))
  (core func $log (canon lower (func $logging "log") (memory $mem) (realloc $realloc)))
  (core module $main
    (import "h" "get" (func $get (param i32 i32 i32)))
    (import "h" "get-all" (func $get-all (param i32)))
    (import "h" "log" (func $log (param i32 i32 i32 i32 i32)))
    (import "h" "memory" (memory 1))
    (func (export "run") (result i32)
      (call $log (i32.const 3) (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 9))
      (call $get-all (i32.const 256))
      (call $get (i32.const 0) (i32.const 3) (i32.const 128))
      (i32.or (i32.load8_u (i32.const 128)) (i32.or (i32.load8_u (i32.const 132)) (i32.load (i32.const 264))))))
  (core instance $i (instantiate $main (with "h" (instance
    (export "get" (func $get)) (export "get-all" (func $get-all)) (export "log" (func $log))
    (export "memory" (memory $mem))))))
  (func (export "run") (result u32) (canon lift (core func $i "run"))))
"""


@pytest.mark.parametrize("store", config.NAMES)
@pytest.mark.parametrize("log", logging.NAMES)
def test_a_guest_gets_no_configuration_and_its_log_is_a_line(gates: Gates, engine: Engine, store: str, log: str) -> None:
    guest = Component(engine, GUEST.format(config=store, logging=log))
    reader, writer = os.pipe()
    gates.bind(WasiTemplate(), (), None, lambda denial: None, log=writer)
    prepared = gates.instantiate(guest, WasiConfig())
    func = prepared.instance.get_func(prepared.store, "run")
    assert func is not None
    assert func(prepared.store) == 0
    gates.close(prepared)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert told.read() == b"warn key: two\\nlines\n"


def test_without_a_place_for_it_a_log_goes_nowhere(gates: Gates, engine: Engine) -> None:
    guest = Component(engine, GUEST.format(config=config.NAMES[0], logging=logging.NAMES[0]))
    gates.bind(WasiTemplate(), (), None, lambda denial: None)
    prepared = gates.instantiate(guest, WasiConfig())
    func = prepared.instance.get_func(prepared.store, "run")
    assert func is not None
    assert func(prepared.store) == 0
    assert prepared.fault is None
    gates.close(prepared)
