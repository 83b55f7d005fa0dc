"""What leaves this host for a collector: traces of calls, and the record, as OpenTelemetry has them."""

from sandbox.telemetry.context import TraceContext, read_context, trace_id_of

__all__ = ["TraceContext", "read_context", "trace_id_of"]
