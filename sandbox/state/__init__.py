"""What is remembered: grants, components, roles, stops and denials in one atomic store."""

from sandbox.state.clock import Clock
from sandbox.state.home import Home
from sandbox.state.memory import memory_store
from sandbox.state.opening import open_store, state_of
from sandbox.state.roles import EVERYTHING, Assignment, Stop
from sandbox.state.rows import Described, Installed, PolicyVersion, StoredComponent, StoredDenial
from sandbox.state.sqlite import sqlite_store
from sandbox.state.store import Store

__all__ = [
    "EVERYTHING",
    "Assignment",
    "Clock",
    "Described",
    "Home",
    "Installed",
    "PolicyVersion",
    "Stop",
    "Store",
    "StoredComponent",
    "StoredDenial",
    "memory_store",
    "open_store",
    "sqlite_store",
    "state_of",
]
