"""Show the sandbox at work, with a real MCP client: a call is allowed, another refused, granted, allowed, revoked, refused.

Everything lies in a temporary folder. The refusal's own text names the command that grants; that command is what runs next,
as a person would run it in a terminal, while the server goes on. Ends with an error if one step does not end as it says.

    make demo
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

ROOT = Path(__file__).resolve().parents[1]
SANDBOX = Path(sys.executable).parent / "sandbox"
FILES = ROOT / "components" / "files"


class Demo:
    """One temporary home with a workspace in it, and a note outside of it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.note = folder / "notes" / "plan.txt"
        self.note.parent.mkdir()
        self.note.write_text("Buy milk.\n")
        self.environment = {**os.environ, "SANDBOX_HOME": str(self.home)}

    def server(self) -> StdioServerParameters:
        """How a client starts the sandbox: one command."""
        words = ["run", str(FILES / "files.wasm"), "--policy", str(FILES / "policy.yaml")]
        shown(f"$ sandbox {shlex.join(words)}".replace(f"{ROOT}/", ""))
        return StdioServerParameters(command=str(SANDBOX), args=words, env=self.environment)

    def terminal(self, *words: str) -> str:
        """Run a command as a person would, and show it and its answer."""
        shown(f"$ sandbox {shlex.join(words)}")
        done = subprocess.run([SANDBOX, *words], env=self.environment, capture_output=True, text=True, check=False)
        shown(done.stdout + done.stderr)
        if done.returncode != 0:
            raise SystemExit(f"`sandbox {words[0]}` ended with {done.returncode}")
        return done.stdout


def shown(text: str, *, indent: str = "    ") -> None:
    """Print a piece, each line behind `indent`."""
    for line in text.strip().splitlines():
        print(f"{indent}{line}")


def step(text: str) -> None:
    """Print what comes next."""
    print(f"\n{text}")


async def call(client: Client, tool: str, *, allowed: bool, **arguments: str) -> dict[str, Any]:
    """Call a tool, show the answer, and insist that it is the one expected."""
    shown(f"→ {tool} {json.dumps(arguments)}")
    answer = await client.call_tool(tool, arguments)
    text = answer.content[0].text if answer.content else ""
    body: dict[str, Any] = json.loads(text)
    if answer.is_error:
        shown(f"← refused: {body['message']}")
    else:
        shown(f"← {json.dumps(body, ensure_ascii=False)[:200]}")
    if answer.is_error is allowed:
        raise SystemExit(f"{tool} was {'refused' if allowed else 'allowed'}: {text}")
    return body


async def granted_and_revoked(client: Client, demo: Demo) -> None:
    """The six calls and the commands between them."""
    note = str(demo.note)
    step("1. The policy gives a workspace: a file in it is written, and read again.")
    await call(client, "files__write", allowed=True, path="/workspace/hello.txt", text="hello")
    await call(client, "files__read", allowed=True, path="/workspace/hello.txt")
    step("2. Anything else is refused, and the refusal says how to permit it.")
    refused = await call(client, "files__read", allowed=False, path=note)
    shown(f"  to permit it: {refused['command']}")
    step("3. A person runs that very command, in a terminal, while the server goes on.")
    granted = demo.terminal(*shlex.split(refused["command"])[1:])
    grant_id = granted.split()[1].rstrip(":")
    step("4. The same call is allowed.")
    await call(client, "files__read", allowed=True, path=note)
    step("5. The grant is revoked …")
    demo.terminal("permission", "revoke", grant_id)
    step("6. … and the same call is refused again.")
    await call(client, "files__read", allowed=False, path=note)


async def main() -> None:
    """Run the demonstration, then check its record."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder).resolve())
        async with Client(demo.server()) as client:
            tools = (await client.list_tools()).tools
            shown(f"{len(tools)} tools: {', '.join(sorted(tool.name for tool in tools))}")
            await granted_and_revoked(client, demo)
        step("7. Every attempt, decision and grant is in the record, and its chain holds.")
        demo.terminal("audit", "list")
        demo.terminal("audit", "verify")
    print("\nThat is all of it: README.md says what else a policy can say.")


if __name__ == "__main__":
    asyncio.run(main())
