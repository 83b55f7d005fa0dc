"""The documents that ship with the host, by name: policies (`deny-all`, `read-only`, …) and admission documents (`strict`, …).

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
_ADMISSION = "policies/admission"
_SUFFIX = ".yaml"


def policy_names() -> tuple[str, ...]:
    """The names of policies, sorted."""
    return _names(_FOLDER)


def policy_text(name: str) -> bytes:
    """The text of a named policy; raises `PolicyError` (`policy_not_found`)."""
    return _text(_FOLDER, name, "policy")


def named_policy(name: str) -> PolicyDocument:
    """The named policy; its lines go by `policies/NAME.yaml`."""
    return load_policy(policy_text(name), file=f"{_FOLDER}/{name}{_SUFFIX}")


def admission_names() -> tuple[str, ...]:
    """The names of admission documents, sorted."""
    return _names(_ADMISSION)


def admission_text(name: str) -> tuple[bytes, str]:
    """The text of a named admission document, and what its lines go by; raises `PolicyError` (`policy_not_found`)."""
    return _text(_ADMISSION, name, "admission document"), f"{_ADMISSION}/{name}{_SUFFIX}"


def _names(folder: str) -> tuple[str, ...]:
    found = (entry.name for entry in files("sandbox").joinpath(folder).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


def _text(folder: str, name: str, called: str) -> bytes:
    names = _names(folder)
    if name not in names:
        told = f"there is no {called} named {quoted(name)}"
        raise PolicyError(
            (Problem(name, "", told, one_of(name, names) + "; a file is named by its path"),), code=Code.POLICY_NOT_FOUND
        )
    return files("sandbox").joinpath(folder, name + _SUFFIX).read_bytes()
