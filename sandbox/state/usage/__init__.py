"""Where counts of usage lie: a SQLite file, Redis or Valkey, memory. One interface: `sandbox.admission.spending.counting`."""

from sandbox.state.usage.opening import open_usage
from sandbox.state.usage.sqlite import SqliteUsage

__all__ = ["SqliteUsage", "open_usage"]
