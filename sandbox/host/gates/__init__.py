"""Where a guest's WASI calls meet its template: the filesystem, HTTP and sockets gates, and the small host interfaces."""

from sandbox.host.gates.egress import Egress
from sandbox.host.gates.gates import PREPARE_TOUCHED_WASI, Gates, Prepared
from sandbox.host.gates.native.passthrough import passthrough_text, probe_text, tunnel_text

__all__ = ["PREPARE_TOUCHED_WASI", "Egress", "Gates", "Prepared", "passthrough_text", "probe_text", "tunnel_text"]
