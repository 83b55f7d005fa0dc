"""What is remembered: grants, components and denials in one atomic store."""

from sandbox.state.clock import Clock
from sandbox.state.home import Home
from sandbox.state.rows import Described, Installed, PolicyVersion, StoredComponent, StoredDenial
from sandbox.state.store import Store

__all__ = ["Clock", "Described", "Home", "Installed", "PolicyVersion", "Store", "StoredComponent", "StoredDenial"]
