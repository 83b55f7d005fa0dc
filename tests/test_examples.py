"""docs/examples: what they say happens, happens."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from sandbox import Sandbox
from sandbox.admission.spending.prices import Tokens
from sandbox.audit import records
from tests.support.commands import sandbox as command
from tests.support.guests import guest

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
EVALUATOR = {
    "component.toml": 'name = "python"\nlanguage = "wat"\nsource = "python.wat"\nworld = "python"\n',
    "wit/world.wit": "package local:python;\nworld python {\n  /// Run code.\n  export evaluate: func(code: string) -> u32;\n}\n",
    "python.wat": """(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get 3))))
  (func (export "evaluate") (param i32 i32) (result i32) (local.get 1)))
""",
}


def example(name: str) -> ModuleType:
    """An example, as a program imports it."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("thought", "output", "rounds", "why"),
    [
        ("it is late", 20, 10, "budgets.runs.default.max_llm_calls"),
        ("pay 100", 20, 1, "the rule `it-pays-nobody` denies it"),
        ("look up sk-ant-" + "a" * 40, 20, 0, "anthropic api key"),
        ("it is late, and I have a lot to say", 6_000, 3, "budgets.runs.default.max_cost"),
    ],
)
def test_an_agent_is_ended_by_its_budget_or_by_a_rule(tmp_path: Path, thought: str, output: int, rounds: int, why: str) -> None:
    """After so many rounds, for that reason; what it spent adds up, and everything is on record."""
    tokens = Tokens(input=1_000, output=output)
    said, refused, tracker = example("agent_loop").run(lambda _: (thought, tokens), "what time is it?", tmp_path)
    assert len(said) == rounds
    assert why in refused
    spent = tracker.by("model")["small-1"]
    assert spent.cost_micros == spent.calls * (1_000 + 5 * output)
    events = [record["event"] for record in records(tmp_path)]
    assert events.count("tool_invoke") == events.count("tool_success") + events.count("tool_failure")


async def test_a_web_application_answers_who_may_ask() -> None:
    app = example("web_application").application()

    async def ask(path: str, token: str = "", method: str = "GET") -> int:
        header = [(b"authorization", f"Bearer {token}".encode())] if token else []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": header,
        }
        scope |= {"client": ("192.0.2.1", 1), "scheme": "http", "server": ("x", 80), "root_path": "", "http_version": "1.1"}
        seen: list[int] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"new", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if "status" in message:
                seen.append(message["status"])

        await app(scope, receive, send)
        return seen[0]

    assert await ask("/reports/q1") == 403
    assert await ask("/reports/q1", "token-of-eve") == 403
    assert [await ask("/reports/q1", "token-of-ann") for _ in range(4)] == [200, 200, 200, 429]
    assert await ask("/reports/q1", "token-of-ann", "PUT") == 403
    assert await ask("/reports/q1", "token-of-ben", "PUT") == 200
    assert await ask("/reports/q1", "token-of-cay", "PUT") == 403, "an editor of another tenant"
    assert await ask("/reports/q1", "token-of-ben", "DELETE") == 403, "nobody has approved it"


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something that takes code, as the component `python` does, and is built at once."""
    folder = tmp_path_factory.mktemp("python")
    for name, text in EVALUATOR.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    done = command("component", "build", str(folder), folder=folder)
    assert done.returncode == 0, done.stderr
    return next(folder.rglob("*.wasm"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def analyst(tmp_path_factory: pytest.TempPathFactory, evaluator: Path) -> AsyncIterator[tuple[Sandbox, ModuleType, Path]]:
    """The data analyst's host."""
    home, module = tmp_path_factory.mktemp("analyst") / "home", example("data_analyst")
    document = home.parent / "admission.yaml"
    document.write_bytes(module.DOCUMENT.read_bytes())
    document.chmod(0o600)
    async with Sandbox(home, admission=document) as sandbox:
        await sandbox.load(evaluator, name="python")
        await sandbox.load(guest("exhaust_sleep"))
        yield sandbox, module, home


@pytest.mark.asyncio(loop_scope="module")
async def test_an_analyst_s_agent_computes_and_nothing_else(analyst: tuple[Sandbox, ModuleType, Path]) -> None:
    sandbox, module, _ = analyst
    assert await module.refusals(sandbox, "python__evaluate", {}) == {
        "average": "ran",
        "a person": "access_denied: content:social security number",
        "a table": "access_denied: content:destructive-commands",
        "a shell": "access_denied: no-shell",
        "production": "approval_required: production-is-looked-at",
    }


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kill", [False, True])
async def test_a_call_is_looked_at_while_it_is_suspended(analyst: tuple[Sandbox, ModuleType, Path], kill: bool) -> None:
    """And goes on, or is killed."""
    sandbox, module, home = analyst
    arguments = {"milliseconds": "60000" if kill else "150"}
    session = module.debugger_session(sandbox, "exhaust_sleep__sleep", arguments, kill=kill)
    heard, end = await asyncio.wait_for(session, 20)
    await sandbox._signals.close()
    assert heard[0] == "exhaust_sleep__sleep is suspended by ann: what does it do?"
    assert end == ("the call was killed: it has been looked at" if kill else "returned")
    assert ("exhaust_sleep__sleep goes on: it has been looked at" in heard) is not kill
    assert any(record["event"] == "signal_stop" for record in records(home / "audit"))
