"""The name of the engine's configuration, for the server, which never loads the engine itself."""

from __future__ import annotations

SETTINGS = "wasmtime-50.0.1/3"
"""Part of every compiled artefact's key; change it with `sandbox.host.engine.make_engine`."""
