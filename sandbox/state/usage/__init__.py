"""Where counts of usage lie: in memory, in a SQLite file, in Redis or Valkey. One interface: `sandbox.admission.counting`."""

from sandbox.admission.memory_counts import MemoryCounts
from sandbox.state.usage.opening import open_usage
from sandbox.state.usage.sqlite import SqliteUsage

__all__ = ["MemoryCounts", "SqliteUsage", "open_usage"]
