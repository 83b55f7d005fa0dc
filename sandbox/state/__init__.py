"""What is remembered: grants, components and denials in one atomic store."""

from sandbox.state.clock import Clock
from sandbox.state.home import Home
from sandbox.state.rows import StoredComponent, StoredDenial
from sandbox.state.store import Store

__all__ = ["Clock", "Home", "Store", "StoredComponent", "StoredDenial"]
