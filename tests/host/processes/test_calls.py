"""What a call gives back, and what it must not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.host.host import ARGUMENT_BYTES
from sandbox.host.outcome import Ending
from sandbox.template.template import Access, Effect, EnvironmentRule, FileRule, Preopen, WasiTemplate
from tests.host.processes.driver import Caller, admit, limits, workers
from tests.support.guests import guest


def test_the_server_loads_no_wasm_engine() -> None:
    """Nothing that the server imports of the host imports wasmtime, directly or through others."""
    code = "import sys, sandbox.host.host; print([name for name in sys.modules if name.startswith('wasmtime')])"
    found = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout == "[]\n"


async def test_a_running_host_has_not_loaded_it_either(shared_cache: Path) -> None:
    """Not by reading the passthrough, not by compiling, not by a call."""
    code = f"""
import asyncio, sys
from pathlib import Path
from sandbox.host.host import Host
from sandbox.host.settings import HostSettings
async def main():
    host = Host(HostSettings(Path({str(shared_cache)!r}), spares=1))
    await host.start()
    await host.load(Path({str(guest("traps"))!r}))
    await host.close()
    print([name for name in sys.modules if name.startswith("wasmtime")])
asyncio.run(main())
"""
    found = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout == "[]\n"


async def test_arguments_are_refused_before_the_guest_runs(call: Caller) -> None:
    """And the worker goes on: nothing of the guest has run."""
    outcome = await call("traps", "divide", by="three")
    assert outcome.ending is Ending.INVALID_ARGUMENTS
    assert "arguments.by" in outcome.message
    before = workers()
    assert (await call("traps", "fine", number=1)).value == 1
    assert set(workers()) >= set(before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_what_is_no_json_is_refused(call: Caller, value: float) -> None:
    """ARG-03: NaN and infinities are no JSON."""
    assert (await call("every_type", "echo-f64", x=value)).ending is Ending.INVALID_ARGUMENTS


async def test_the_inputs_that_abort_a_wasm_engine_are_refused(call: Caller) -> None:
    """PY-07, ARG-01: a lone surrogate for a char aborts the binding's own conversion."""
    for function in ("echo-char", "echo-string"):
        assert (await call("every_type", function, x="\ud800")).ending is Ending.INVALID_ARGUMENTS
    assert (await call("every_type", "echo-char", x="ü")).value == "ü"


async def test_arguments_that_are_too_long_are_refused(call: Caller) -> None:
    """A worker's memory must hold them."""
    assert (await call("prints", "print", text="x" * ARGUMENT_BYTES)).ending is Ending.INVALID_ARGUMENTS


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ("unreachable", {}, "`unreachable` was executed"),
        ("divide", {"by": 0}, "an integer was divided by zero"),
        ("out-of-bounds", {}, "memory was accessed out of bounds"),
        ("bad-string", {}, "a string reaches beyond the memory"),
    ],
)
async def test_a_trap_is_one_clean_line(call: Caller, function: str, arguments: dict[str, int], said: str) -> None:
    """ENV-03: its kind; no backtrace, no path, no process id."""
    outcome = await call("traps", function, **arguments)
    assert (outcome.ending, outcome.message) == (Ending.TRAPPED, f"the tool trapped: {said}")


async def test_a_start_function_that_traps_is_a_trap(call: Caller) -> None:
    """WASM-09: loading it was no problem; nothing had run."""
    assert (await call("start_traps", "fine")).ending is Ending.TRAPPED


@pytest.mark.parametrize(("failing", "status"), [(False, 0), (True, 1)])
async def test_an_exit_is_an_ending_of_its_own(call: Caller, failing: bool, status: int) -> None:
    """`wasi:cli/exit` ends the call, not the host."""
    outcome = await call("exits", "leave", failing=failing)
    assert (outcome.ending, outcome.message) == (Ending.EXITED, f"the tool exited with status {status}")


async def test_an_err_is_the_guests_error(call: Caller) -> None:
    """Its value comes with it."""
    outcome = await call("every_type", "finish", failing=True, x="no luck")
    assert (outcome.ending, outcome.value) == (Ending.GUEST_ERROR, "no luck")


async def test_each_call_has_a_fresh_store(call: Caller) -> None:
    """A global that counts calls is 1 in each."""
    text = """(component (core module $m (global $n (mut i32) (i32.const 0))
      (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))
      (core instance $i (instantiate $m)) (func (export "count") (result u32) (canon lift (core func $i "count"))))"""
    from wasmtime import wat2wasm

    counting = bytes(wat2wasm(text))
    assert [(await call(counting, "count")).value for _ in range(4)] == [1, 1, 1, 1]


async def test_what_a_guest_prints_is_in_its_outcome_alone(call: Caller, capfd: pytest.CaptureFixture[str]) -> None:
    """RES-15: not on the server's streams, and not in another call's outcome."""
    outcome = await call("prints", "print", text='{"jsonrpc": "2.0"}')
    assert (outcome.stdout, outcome.stderr) == ('{"jsonrpc": "2.0"}\n', '{"jsonrpc": "2.0"}\n')
    assert (await call("prints", "print", text="other")).stdout == "other\n"
    assert capfd.readouterr() == ("", "")


async def test_a_guest_sees_the_variables_of_its_template_alone(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENV-01: a value is the host's of the moment of the call."""
    monkeypatch.setenv("AWS_SECRET", "CANARY")
    monkeypatch.setenv("FOO", "one")
    rules = (EnvironmentRule(Effect.ALLOW, "FOO", None, "p:1"), EnvironmentRule(Effect.ALLOW, "BAR", "two", "p:2"))
    template = WasiTemplate(environment=rules)
    assert (await call("escape_environment", "look", template=template)).value["variables"] == [["BAR", "two"], ["FOO", "one"]]
    monkeypatch.setenv("FOO", "three")
    found = (await call("escape_environment", "look", template=template)).value
    assert found["variables"] == [["BAR", "two"], ["FOO", "three"]]
    assert (found["arguments"], found["cwd"], found["stdin"]) == ([], None, "")
    for worker in workers():
        assert b"CANARY" not in Path(f"/proc/{worker}/environ").read_bytes()


async def test_a_file_that_is_replaced_is_read_anew_and_a_link_in_its_place_is_not(call: Caller, tmp_path: Path) -> None:
    """GRT-01: an idle worker notices that a path means something else; a swapped link is not followed."""
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    rule = FileRule(Effect.ALLOW, f"{folder}/a.txt", Access.READ, "p:1")
    template = WasiTemplate(preopens=(Preopen(str(folder), "/w"),), files=(rule,))
    assert (await call("libc_reads", "read", template=template, path="/w/a.txt")).value == "first"
    (folder / "new").write_text("second")
    (folder / "new").rename(folder / "a.txt")
    assert (await call("libc_reads", "read", template=template, path="/w/a.txt")).value == "second"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    refused = await call("libc_reads", "read", template=template, path="/w/a.txt")
    assert refused.ending is Ending.GUEST_ERROR


async def test_a_denial_arrives_with_what_was_tried(call: Caller) -> None:
    """Also of a call that goes on afterwards."""
    outcome = await call("libc_reads", "read", path="/etc/passwd")
    assert outcome.ending is Ending.GUEST_ERROR
    (denial,) = outcome.denials
    assert denial.target == {"path": "/etc/passwd", "operation": "read"}


async def test_an_admission_is_for_its_component(call: Caller) -> None:
    """One that is about another component is our own misuse."""
    one, other = await call.host.load(guest("traps")), await call.host.load(guest("prints"))
    with pytest.raises(RuntimeError, match="belong together"):
        await call.host.invoke(admit(one), WasiTemplate(component=other.digest), other.world.exports[0], {}, call_id="x")


async def test_calls_beyond_concurrency_wait_their_turn_and_beyond_the_queue_are_refused(start: object) -> None:
    """First come, first served; the refusal names the limit and its line."""
    call: Caller = await start(queue=2)  # type: ignore[operator]
    one = limits(concurrency=1, wall_time_ms=20_000)
    calls = [asyncio.create_task(call("exhaust_sleep", "sleep", limits=one, milliseconds=150)) for _ in range(4)]
    outcomes = await asyncio.gather(*calls)
    endings = sorted(outcome.ending for outcome in outcomes)
    assert endings == [Ending.RETURNED, Ending.RETURNED, Ending.RETURNED, Ending.UNAVAILABLE]
    (refused,) = [outcome for outcome in outcomes if outcome.ending is Ending.UNAVAILABLE]
    assert "`concurrency` is 1 (policy.yaml:22:7)" in refused.message


async def test_a_hundred_calls_at_once_share_few_workers(call: Caller) -> None:
    """RES-04: more than there are workers for wait; all succeed."""
    outcomes = await asyncio.gather(*(call("traps", "fine", number=number) for number in range(100)))
    assert [outcome.value for outcome in outcomes] == list(range(100))
    assert call.host.metrics()["taken"] <= 4
    assert os.getpid() not in workers()
