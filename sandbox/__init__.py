"""A WebAssembly capability sandbox host for MCP tools.

`from sandbox import Sandbox` is all that a program needs. What it names is imported when it is first used: `import sandbox` is
quick, and neither wasmtime nor the MCP SDK comes with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.api import Sandbox
    from sandbox.errors import ComponentError, GrantError, HostUnavailable, NotAdmitted, NotFound, PolicyError, SandboxError
    from sandbox.policy.load import load_policy
    from sandbox.policy.models import PolicyDocument
    from sandbox.receipt import Receipt
    from sandbox.redaction.alone import redact, redact_env_vars
    from sandbox.redaction.redact import Redacted, Redactor
    from sandbox.result import CallResult

__all__ = [
    "CallResult",
    "ComponentError",
    "GrantError",
    "HostUnavailable",
    "NotAdmitted",
    "NotFound",
    "PolicyDocument",
    "PolicyError",
    "Receipt",
    "Redacted",
    "Redactor",
    "Sandbox",
    "SandboxError",
    "load_policy",
    "redact",
    "redact_env_vars",
]

_HOMES = {
    "CallResult": "sandbox.result",
    "PolicyDocument": "sandbox.policy.models",
    "Receipt": "sandbox.receipt",
    "Redacted": "sandbox.redaction.redact",
    "Redactor": "sandbox.redaction.redact",
    "Sandbox": "sandbox.api",
    "load_policy": "sandbox.policy.load",
    "redact": "sandbox.redaction.alone",
    "redact_env_vars": "sandbox.redaction.alone",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module `sandbox` has no attribute `{name}`")
    value = getattr(import_module(_HOMES.get(name, "sandbox.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
