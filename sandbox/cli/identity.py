"""What `sandbox doctor` says of who is asked for a token: where static ones come from, and whether the issuer gives its keys."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

from sandbox.cli.bearer import TOKEN_VARIABLE
from sandbox.config.configuration import Configuration
from sandbox.config.oauth import OAuthSection


@dataclass(frozen=True, slots=True)
class Found:
    """Where static tokens come from, and of an issuer how many keys it gave, or why none."""

    tokens: str | None
    oauth: OAuthSection | None
    keys: int | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For a machine."""
        about = self.oauth
        issuer = about and {"issuer": about.issuer, "audience": about.audience, "keys": self.keys, "problem": self.problem}
        return {"tokens": self.tokens, "issuer": issuer}

    def rows(self) -> list[tuple[str, str]]:
        """For a person: nothing where nothing is configured."""
        rows = [] if self.tokens is None else [("static tokens", self.tokens)]
        if self.oauth is not None:
            keys = f"{self.keys} keys" if self.problem is None else f"NO KEYS: {self.problem}"
            rows.append(("signed tokens", f"{self.oauth.issuer} for {self.oauth.audience}: {keys}"))
        return rows


async def identity_of(configuration: Configuration) -> Found:
    """What is configured here, with a question to the issuer."""
    file, variable = configuration.token_file, configuration.token_variable
    if TOKEN_VARIABLE in os.environ:
        tokens: str | None = f"${TOKEN_VARIABLE}"
    else:
        tokens = str(file) if file is not None else None if variable is None else f"${variable}"
    if configuration.oauth is None:
        return Found(tokens, None)
    issuer = importlib.import_module("sandbox.server.http.oauth.issuer")
    try:
        return Found(tokens, configuration.oauth, len(await issuer.fetch_keys(configuration.oauth)))
    except issuer.UnreachableError as error:
        return Found(tokens, configuration.oauth, problem=str(error))
