"""The edge towards MCP clients. The only place that knows MCP."""

import os

for _name in ("OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER"):
    # MCP's SDK loads what these name, or fails where it is not installed: no variable of OpenTelemetry's is heeded here.
    os.environ.pop(_name, None)
