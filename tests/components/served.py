"""The example components as a client has them: one `sandbox run` with each under its own policy, and a terminal beside it."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.commands import sandbox
from tests.support.components import COMPONENTS
from tests.support.serving import Lines, call, program


@dataclass
class Served:
    """A client of the server, which numbers its calls, and the home that both use."""

    lines: Lines
    home: Path
    calls: int = 0

    def answer(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one call, whatever it is; `_` in a name stands for `-`."""
        self.calls += 1
        spelled = {name.rstrip("_").replace("_", "-"): value for name, value in arguments.items()}
        self.lines.write(call(self.calls, tool, **spelled))
        return dict(self.lines.answer(self.calls)["result"])

    def gives(self, tool: str, **arguments: Any) -> Any:
        """What a call that succeeds gives; None where that is nothing."""
        result = self.answer(tool, arguments)
        assert not result.get("isError"), result
        return result.get("structuredContent", {"result": None})["result"]

    def fails(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The body of the error of a call that does not."""
        result = self.answer(tool, arguments)
        assert result.get("isError"), result
        return dict(json.loads(result["content"][0]["text"]))

    def says(self, tool: str, **arguments: Any) -> str:
        """The tool's own words for what went wrong."""
        return str(self.fails(tool, **arguments)["error"])

    def terminal(self, *words: str) -> Any:
        """The data of a `sandbox` command that succeeds, given beside the server."""
        done = sandbox(*words, "--json", folder=self.home.parent)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def granted_as_told(self, refused: Mapping[str, Any]) -> str:
        """Run the command that a refusal names, and give the grant's id."""
        return str(self.terminal(*shlex.split(refused["command"])[1:])["id"])


def own_policy(name: str) -> str:
    """The policy that lies beside a component."""
    return (COMPONENTS / name / "policy.yaml").read_text()


@contextmanager
def served(folder: Path, components: Mapping[Path, str], *options: str) -> Iterator[Served]:
    """A server of these components, each under the policy text beside it; it is dead afterwards."""
    words = [program(), "run", *map(str, components), "--home", str(folder / "home"), *options]
    for component, text in components.items():
        policy = folder / f"{component.stem}.yaml"
        policy.write_text(text)
        policy.chmod(0o600)
        words += ["--policy", f"{component.stem}={policy}"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    lines = Lines(process)
    try:
        lines.handshake()
        yield Served(lines, folder / "home")
        assert lines.end()[1] == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
