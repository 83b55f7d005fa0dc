"""How one host is set up. Values only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sandbox.config.proxy import Proxy
from sandbox.host.compiling import CompileLimits
from sandbox.wit.binary import DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What a host may use and must insist on; counts, bytes, seconds."""

    cache_folder: Path
    """Of compiled components; made 0700 where it is missing."""
    isolation: Literal["default", "strict"] = "default"
    """`strict` refuses to start, and to run, where a layer is missing."""
    max_workers: int = 16
    """Processes that hold a component, running or idle."""
    spares: int = 2
    """Processes on top of them that wait to be taken."""
    queue: int = 256
    """Calls that may wait for one component, and for a worker; more are refused."""
    component_bytes: int = DEFAULT_LIMIT
    compile_limits: CompileLimits = field(default_factory=CompileLimits)
    nameserver: tuple[str, int] | None = None
    """The only one that the gateway asks: address and port; None for the system's."""
    proxy: Proxy | None = None
    """Through which the gateway goes out; None for straight."""
    proxy_login: Callable[[], str | None] = field(default=lambda: None, repr=False)
    """The proxy's `user:password`, as it is now; None where it is not set."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Where the host's own values of variables come from, at each call: what policies are judged and records redacted by."""
    unsafe_run_in_zygotes: Path | None = None
    """For tests alone, and for no command or configuration to set: a Python file that runs in each zygote before it forks, to
    take layers and gates away and see that the others hold. `strict` refuses it."""
    crashes: int = 5
    """Crashes of one component within `crash_window_s` after which it is refused for `crash_pause_s`."""
    crash_window_s: float = 60.0
    crash_pause_s: float = 30.0
