"""The policies that ship with the host, by name: `deny-all`, `read-only`, `one-host`, `workspace`.

They lie in `policies/` at the top of the repository; the package holds that folder by a link, so that there is one text of
each, in a checkout and in an installed wheel alike.
"""

from __future__ import annotations

from importlib.resources import files

from sandbox.errors import Code, PolicyError, Problem
from sandbox.policy.load import load_policy
from sandbox.policy.models import PolicyDocument
from sandbox.policy.refusal import one_of, quoted

_FOLDER = "policies"
_SUFFIX = ".yaml"


def policy_names() -> tuple[str, ...]:
    """The names, sorted."""
    found = (entry.name for entry in files("sandbox").joinpath(_FOLDER).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


def policy_text(name: str) -> bytes:
    """The text of a named policy; raises `PolicyError` (`policy_not_found`)."""
    names = policy_names()
    if name not in names:
        problem = Problem(
            name, "", f"there is no policy named {quoted(name)}", one_of(name, names) + "; a file is named by its path"
        )
        raise PolicyError((problem,), code=Code.POLICY_NOT_FOUND)
    return files("sandbox").joinpath(_FOLDER, name + _SUFFIX).read_bytes()


def named_policy(name: str) -> PolicyDocument:
    """The named policy; its lines go by `policies/NAME.yaml`."""
    return load_policy(policy_text(name), file=f"{_FOLDER}/{name}{_SUFFIX}")
