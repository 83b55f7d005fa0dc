"""Compile a document on an imagined host: links are a mapping, nothing is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.errors import Code, PolicyError
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.template.compile import CompiledPolicy, compile_template
from sandbox.wit.types import Digest

HOME = "/home/me"
STATE = "/home/me/.local/state/sandbox"
DATA = f"{STATE}/data/tool"
ENVIRONMENT = {"WORK": "/srv/work", "LANG": "C", "W_ONE": "1", "W_TWO": "2"}


def resolver(links: Mapping[str, str]) -> Any:
    """`realpath` on a host where `links` are links, and every path is there."""

    def resolve(path: str) -> str:
        real = ""
        for name in path.split("/")[1:]:
            step = f"{real}/{name}" if name else real
            real = resolve(links[step]) if step in links else step
        return real or "/"

    return resolve


def compiled(
    permissions: str, ceiling: str | None = None, *, version: str = "2.0", links: Mapping[str, str] | None = None, **more: Any
) -> CompiledPolicy:
    """The permissions (YAML, flow style) compiled; lines go by `p.yaml` and `most.yaml`."""
    most = load_policy(f'version: "2.0"\npermissions: {ceiling}\n', file="most.yaml") if ceiling is not None else None
    document = load_policy(f'version: "{version}"\npermissions: {permissions}\n', file="p.yaml")
    return compiled_document(document, ceiling=most, resolve=resolver(links or {}), **more)


def refused(permissions: str, ceiling: str | None = None, **more: Any) -> str:
    """What compiling said, having refused."""
    with pytest.raises(PolicyError) as caught:
        compiled(permissions, ceiling, **more)
    assert caught.value.code is Code.COMPILATION_FAILED
    assert all(problem.help for problem in caught.value.problems)
    return str(caught.value)


def storage(*uris: str, access: str = "[read]", deny: tuple[str, ...] = ()) -> str:
    """A storage section with one allow for each uri and one deny for each of `deny`."""
    allows = ", ".join(f'{{uri: "{uri}", access: {access}}}' for uri in uris)
    denies = ", ".join(f'{{uri: "{uri}"}}' for uri in deny)
    return f"{{storage: {{allow: [{allows}], deny: [{denies}]}}}}"


def compiled_document(document: PolicyDocument, **more: Any) -> CompiledPolicy:
    """A document compiled on that host."""
    given: dict[str, Any] = {
        "digest": Digest("d" * 64),
        "name": "tool",
        "data_folder": DATA,
        "home": HOME,
        "host_environment": ENVIRONMENT,
        "protected": (STATE,),
        "resolve": resolver({}),
    }
    return compile_template(document, **{**given, **more})
