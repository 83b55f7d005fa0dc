"""Hosts whose workers go without what their policy says, while a test asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox import api
from sandbox.host.settings import HostSettings

SABOTAGE = Path(__file__).with_name("sabotage.py")


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Hosts that are set up within this run `sabotage.py` in their zygotes."""

    def settings(**named: Any) -> HostSettings:
        return replace(HostSettings(**named), unsafe_run_in_zygotes=SABOTAGE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "HostSettings", settings)
        yield
