"""One value of the configuration, and where it comes from; a layer is what one file, the environment or the flags say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.config.approvals import WebhookSection
from sandbox.config.models import Document
from sandbox.config.oauth import OAuthSection
from sandbox.config.spending import BudgetSection
from sandbox.policy.models import PolicyDocument

DEFAULTS: Mapping[str, Any] = {
    "defaults": {},
    "state": "sqlite",
    "admission": None,
    "budgets": None,
    "isolation": "default",
    "workers.max": 16,
    "workers.spares": 2,
    "grants.lasting_in_client": False,
    "auth.token_file": None,
    "auth.token_variable": None,
    "auth.oauth": None,
    "proxy.url": None,
    "proxy.secret": None,
    "proxy.direct": (),
    "proxy.names": "judged",
    "telemetry.endpoint": None,
    "telemetry.headers": {},
    "telemetry.sample": 1.0,
    "telemetry.records": False,
    "approvals.wait": None,
    "approvals.webhook": None,
}
"""Every key but the ceiling, and what holds where nobody writes it."""
BUILT_IN = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """A key, its value as plain data, and the line, variable or flag that it comes from."""

    key: str
    value: Any
    origin: str = BUILT_IN


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: its settings by key, its ceiling, and the file that it is, if it is one."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    ceiling: PolicyDocument | None = None
    file: Path | None = None


def settings_of(document: Document, origin_of: Mapping[str, str]) -> Iterator[Setting]:
    """What a document says, key by key; `origin_of` names each key's place."""
    for key in DEFAULTS:
        section, _, name = key.partition(".")
        value = getattr(document, section)
        value = getattr(value, name) if name else value
        if isinstance(value, BudgetSection | OAuthSection | WebhookSection):
            value = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if value is not None:
            yield Setting(key, value, origin_of[key])
