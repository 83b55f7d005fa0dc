"""What a call in the existing ecosystem's shape (`details: {…}`) means: what a document of version "1.0" means by the same words.

There a folder's uri is the tree below it, `write` is create and delete too, and a host takes any port. A person is asked about
what it means here, not about how it was spelled.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from sandbox.errors import Code, SandboxError
from sandbox.policy.entries import Strict
from sandbox.policy.version1 import StorageEntry1
from sandbox.server.builtin.arguments import GrantNetwork, GrantStorage, RevokeStorage

ANY_PORT = ["any"]


def as_meant(found: Strict) -> Any:
    """The arguments in the words of this host. Raises SandboxError for an access that version "1.0" does not have."""
    if isinstance(found, GrantStorage):
        meant = _entry(found.uri, found.access)
        return found.model_copy(update={"uri": meant.tree, "access": list(meant.words)})
    if isinstance(found, RevokeStorage):
        return found.model_copy(update={"uri": _entry(found.uri, ["read"]).tree})
    if isinstance(found, GrantNetwork) and found.ports is None:
        return found.model_copy(update={"ports": ANY_PORT})
    return found


def _entry(uri: str, access: list[Any]) -> StorageEntry1:
    try:
        return StorageEntry1(uri=uri, access=tuple(access))
    except ValidationError as error:
        cause = (error.errors()[0].get("ctx") or {}).get("error")
        said, help_ = getattr(cause, "message", "it is no storage permission"), getattr(cause, "help", None)
        raise SandboxError(f"`details`: {said}", help=help_, code=Code.INVALID_ARGUMENTS) from None
