"""Where counts of usage lie: in memory, in a SQLite file, in Redis or Valkey. One interface: `sandbox.admission.counting`."""

from sandbox.state.usage.memory import MemoryUsage
from sandbox.state.usage.opening import open_usage
from sandbox.state.usage.sqlite import SqliteUsage

__all__ = ["MemoryUsage", "SqliteUsage", "open_usage"]
