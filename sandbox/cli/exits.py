"""The exit codes of every command; scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

from sandbox.errors import Code, SandboxError


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    REFUSED = 1
    """The answer is no: a denial, a limit, the tool's own error, a record that does not verify."""
    USAGE = 2
    """The command line, a tool's name or its arguments are wrong."""
    DOCUMENT = 3
    """A policy document, a component or a grant is refused."""
    UNAVAILABLE = 4
    """The host cannot serve: a layer or the record is missing, a file cannot be read."""
    INTERNAL = 70
    """A mistake of this program (sysexits.h EX_SOFTWARE)."""
    INTERRUPTED = 130
    PIPE = 141


_USAGE = frozenset(
    {
        Code.TOOL_NOT_FOUND,
        Code.INVALID_ARGUMENTS,
        Code.COMPONENT_NOT_FOUND,
        Code.GRANT_NOT_FOUND,
        Code.APPROVAL_NOT_FOUND,
    }
)
_DOCUMENT = frozenset(
    {
        Code.POLICY_NOT_FOUND,
        Code.INVALID_FORMAT,
        Code.VALIDATION_FAILED,
        Code.COMPILATION_FAILED,
        Code.COMPONENT_REFUSED,
        Code.GRANT_REFUSED,
    }
)


def exit_for(error: SandboxError) -> Exit:
    """The exit code that tells a script what kind of refusal it met."""
    if error.code in _USAGE:
        return Exit.USAGE
    if error.code in _DOCUMENT:
        return Exit.DOCUMENT
    return Exit.UNAVAILABLE if error.code in {Code.UNAVAILABLE, Code.NETWORK_ERROR} else Exit.REFUSED
