"""Variables of OpenTelemetry's that a process inherits: what they name is not loaded, and missed by nobody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_SERVING = "import sandbox.server.http.serve, opentelemetry.trace as trace; print(type(trace.get_tracer_provider()).__name__)"


@pytest.mark.parametrize("name", ["OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER"])
def test_what_an_inherited_variable_names_is_not_loaded(name: str) -> None:
    """`b3` is set in many a cluster; MCP's SDK does not start where it is not installed."""
    found = subprocess.run([sys.executable, "-c", _SERVING], env={**os.environ, name: "b3"}, capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("ProxyTracerProvider\n", "")
