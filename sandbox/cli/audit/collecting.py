"""`sandbox audit export --otlp URL`: send events to a collector of OpenTelemetry's, the oldest first.

Rules: all of them arrive or the command fails; the configured headers go to the configured collector and to no other.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable

from sandbox.cli.audit.asked import Record
from sandbox.cli.configured import configuration_of
from sandbox.config.telemetry import Collector, parse_endpoint
from sandbox.errors import Code, SandboxError
from sandbox.policy.refusal import Refusal
from sandbox.state.home import Home
from sandbox.state.secrets import SecretStore
from sandbox.tracing import export_records


def sent(arguments: Namespace, home: Home, records: Iterable[Record]) -> int:
    """Send the records, and say how many. Raises SandboxError for a URL that is none, HostUnavailable where one is not taken."""
    try:
        endpoint = parse_endpoint(arguments.otlp)
    except Refusal as refusal:
        raise SandboxError(refusal.message, help=refusal.help, code=Code.INVALID_ARGUMENTS) from None
    known = configuration_of(arguments).telemetry
    collector = known if known is not None and known.endpoint == endpoint else Collector(endpoint)
    return export_records(records, collector, SecretStore.of(home, os.environ))
