"""Where counts of usage lie: in a SQLite file, in Redis or Valkey, or in memory. One interface: `sandbox.admission.counting`."""

from sandbox.state.usage.opening import open_usage
from sandbox.state.usage.sqlite import SqliteUsage

__all__ = ["SqliteUsage", "open_usage"]
