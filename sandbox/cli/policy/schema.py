"""`sandbox policy schema`: the JSON Schema of policies, for editors."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from sandbox.cli.exits import Exit
from sandbox.cli.terminal import Terminal
from sandbox.policy.schema import HINT, policy_schema, policy_schema_1


def command(arguments: Namespace, terminal: Terminal) -> int:
    """Print the schema, or write it where a document can name it."""
    return written(policy_schema() if arguments.of == "2.0" else policy_schema_1(), "a policy", arguments, terminal)


def written(schema: dict[str, Any], document: str, arguments: Namespace, terminal: Terminal) -> int:
    """Print a schema, or write it where `document` can name it."""
    if arguments.output is None:
        terminal.data(schema, indented=True)
        return Exit.OK
    Path(arguments.output).write_text(json.dumps(schema, indent=2) + "\n")
    hint = HINT.format(place=arguments.output)
    if terminal.json:
        terminal.data({"output": arguments.output, "hint": hint})
    else:
        terminal.line(f"written to {arguments.output}; an editor uses it where {document} begins with")
        terminal.line(f"  {hint}")
    return Exit.OK
