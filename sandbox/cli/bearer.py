"""Whose tokens `sandbox serve` takes: those of an option, a variable or the configuration, and those of an issuer.

Rules: a token is read from a file or a variable and never from the command line; what a token may do is held to, or nothing is
served; where an issuer is configured, its tokens are taken beside the static ones.
"""

from __future__ import annotations

import importlib
import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.cli.configured import configuration_of
from sandbox.cli.terminal import Terminal
from sandbox.config.configuration import Configuration
from sandbox.config.oauth import OAuthSection
from sandbox.errors import Code, SandboxError

if TYPE_CHECKING:
    from sandbox.server.http.identity import Verifier
    from sandbox.server.http.protected import ProtectedResource

TOKEN_VARIABLE = "SANDBOX_TOKEN"  # noqa: S105 - the name of a variable

_DOCUMENTS = ("roles", "scopes")
"""What a token's line may say that is an admission document's to hold it to."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who verifies tokens, None where nobody is asked for one, and what clients are told of getting one."""

    verifier: Verifier | None = None
    resource: ProtectedResource | None = None


def asked_for(arguments: Namespace, terminal: Terminal) -> Asked:
    """Whose tokens are taken. Raises SandboxError where what one may do would not be held to."""
    configuration = configuration_of(arguments)
    static = _static(arguments, configuration, terminal)
    if configuration.admission is None:
        _refuse_unheld(static, configuration.oauth)
    if configuration.oauth is None:
        return Asked(static)
    signed, resource = _of_the_issuer(configuration.oauth)
    if static is None:
        return Asked(signed, resource)
    return Asked(importlib.import_module("sandbox.server.http.bearer").EitherOf((static, signed)), resource)


def _refuse_unheld(static: Any, oauth: OAuthSection | None) -> None:
    if oauth is not None:
        told = "`auth.oauth` is configured, and nothing holds its tokens to their scopes and roles without an admission document"
        raise SandboxError(
            told, help="configure one: `admission: strict`, or a file of your own: `admission: /path/admission.yaml`"
        )
    for name, claims in () if static is None else static.claims.items():
        if said := [each for each in _DOCUMENTS if each in claims]:
            told = f"the token `{name}` has `{said[0]}=`, which nothing holds it to without an admission document"
            raise SandboxError(told, help=f"configure one, `admission: /path/admission.yaml`, or take `{said[0]}=` away")


def _of_the_issuer(oauth: OAuthSection) -> tuple[Any, Any]:
    verifying = importlib.import_module("sandbox.server.http.oauth.signed")
    protected = importlib.import_module("sandbox.server.http.protected")
    resource = protected.ProtectedResource(oauth.resource_url, oauth.issuer, oauth.scopes)
    return verifying.signed_tokens(oauth), resource


def _static(arguments: Namespace, configuration: Configuration, terminal: Terminal) -> Any:
    """The tokens by the option, else by `$SANDBOX_TOKEN`, else as it is configured."""
    tokens = importlib.import_module("sandbox.server.http.tokens")
    variable = TOKEN_VARIABLE if TOKEN_VARIABLE in os.environ else configuration.token_variable
    if arguments.token_file is not None and TOKEN_VARIABLE in os.environ:
        told = f"both {TOKEN_VARIABLE} and `--token-file` are given"
        raise SandboxError(told, help="give one of them", code=Code.INVALID_ARGUMENTS)
    file = configuration.token_file if arguments.token_file is None else Path(arguments.token_file)
    if file is None or (arguments.token_file is None and TOKEN_VARIABLE in os.environ):
        return None if variable is None else _in_variable(tokens, variable)
    verifier, made = tokens.tokens_in_file(file)
    if made:
        terminal.note(f"a token was made, and is in {file}")
    return verifier


def _in_variable(tokens: Any, variable: str) -> Any:
    if variable not in os.environ:
        raise SandboxError(f"the configuration takes tokens from `{variable}`, which is not set", code=Code.UNAVAILABLE)
    return tokens.tokens_of(os.environ[variable], variable)
