"""`sandbox.yaml`: what may be written, and nothing else.

Frozen and strict, as a policy is. `ceiling` is no field here: it has the schema of a policy's `permissions`, and is read as one
(`sandbox.config.read`). What POLICY names and this version does not do is refused by name: `NOT_YET`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from sandbox.config.approvals import ApprovalKeys
from sandbox.config.oauth import OAuthSection
from sandbox.config.proxy import parse_direct, parse_names, parse_proxy_url
from sandbox.config.spending import BudgetSection
from sandbox.config.state_url import parse_state
from sandbox.config.telemetry import parse_endpoint, parse_header
from sandbox.policy.credentials import SecretName
from sandbox.policy.entries import Strict
from sandbox.policy.fields import Count
from sandbox.policy.refusal import Refusal, one_of, quoted

NOT_YET = {
    "trusted_keys": "no signature is looked at; name a component by its digest",
}
"""Keys that a later version will enforce: what is accepted is enforced, so until then they are refused."""

ISOLATIONS = ("default", "strict")
_PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,128}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)


def _isolation(text: str) -> str:
    if text not in ISOLATIONS:
        raise Refusal(f"{quoted(text)} is no isolation", one_of(text, ISOLATIONS))
    return text


def _state(text: str) -> str:
    if parse_state(text).kind == "memory":
        raise Refusal("`memory` ends with every command: what was granted would be gone", "write `state: sqlite`, or take it out")
    return text


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise Refusal(f"{quoted(getattr(value, 'text', value))} is neither yes nor no", "write `true` or `false`")
    return value


def _share(value: Any) -> float:
    text = str(getattr(value, "text", value))
    if not re.fullmatch(r"0(\.[0-9]{1,9})?|1(\.0{1,9})?", text, re.ASCII):
        raise Refusal(f"{quoted(text)} is no share of all calls", "write a number from 0 to 1: `0.1` for one in ten")
    return float(text)


def _pattern(text: str) -> str:
    if "/" in text or ":" in text:
        raise Refusal(f"{quoted(text)} names a world, and no component says its own", "name components: `time`, `weather-*`")
    if not _PATTERN.fullmatch(text):
        raise Refusal(f"{quoted(text)} can be no component's name", "write a name, with `*` for any run: `weather-*`")
    return text


def _policy(text: str) -> str:
    if not text or not text.isprintable():
        raise Refusal(f"{quoted(text)} names no policy", "write the name of one, or its file: `policies/weather.yaml`")
    return text


def _admission(text: str) -> str:
    if not text or not text.isprintable():
        raise Refusal(f"{quoted(text)} names no admission document", "write the name of one, or its file: `./admission.yaml`")
    return text


def _path(text: str) -> str:
    if not text.startswith(("/", "~/")) or not text.isprintable():
        raise Refusal(f"{quoted(text)} is no absolute path", "begin with `/` or `~/`")
    return text


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise Refusal(f"{quoted(text)} is no variable's name", "name the variable that holds the tokens, not a token")
    return text


def _proxy_url(text: str) -> str:
    parse_proxy_url(text)
    return text


class Workers(Strict):
    """How many processes run components."""

    max: Annotated[Count, Field(le=1024)] | None = None
    spares: Annotated[int, Field(ge=0, le=64)] | None = None


class Grants(Strict):
    """What an answer in an MCP client may give."""

    lasting_in_client: Annotated[bool, BeforeValidator(_flag)] | None = None


class Auth(Strict):
    """Whose tokens `sandbox serve` takes: a private file's or a variable's (`NAME TOKEN`, one a line), and an issuer's."""

    token_file: Annotated[str, AfterValidator(_path)] | None = None
    token_variable: Annotated[str, AfterValidator(_variable)] | None = None
    oauth: OAuthSection | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Auth:
        if self.token_file is not None and self.token_variable is not None:
            raise Refusal("the tokens come from a file and from a variable", "keep one of the two")
        return self


class ProxyKeys(Strict):
    """The only way that the gateway goes out, and what is reached without it; the secret holds `user:password`."""

    url: Annotated[str, AfterValidator(_proxy_url)] | None = None
    secret: SecretName | None = None
    direct: Annotated[tuple[Annotated[str, AfterValidator(parse_direct)], ...], Field(strict=False)] | None = None
    names: Annotated[str, AfterValidator(parse_names)] | None = None


class TelemetryKeys(Strict):
    """The collector of OpenTelemetry's that traces go to, and with `records` the record; each header's secret holds its value."""

    endpoint: Annotated[str, AfterValidator(parse_endpoint)] | None = None
    headers: dict[Annotated[str, AfterValidator(parse_header)], SecretName] | None = None
    sample: Annotated[float, BeforeValidator(_share)] | None = None
    records: Annotated[bool, BeforeValidator(_flag)] | None = None


class Document(Strict):
    """One layer of the configuration, without its ceiling. Made ready when there is one to read."""

    model_config = ConfigDict(defer_build=True)

    defaults: dict[Annotated[str, AfterValidator(_pattern)], Annotated[str, AfterValidator(_policy)]] | None = None
    state: Annotated[str, AfterValidator(_state)] | None = None
    admission: Annotated[str, AfterValidator(_admission)] | None = None
    isolation: Annotated[str, AfterValidator(_isolation)] | None = None
    workers: Workers = Workers()
    grants: Grants = Grants()
    auth: Auth = Auth()
    proxy: ProxyKeys = ProxyKeys()
    telemetry: TelemetryKeys = TelemetryKeys()
    approvals: ApprovalKeys = ApprovalKeys()
    budgets: BudgetSection | None = None
