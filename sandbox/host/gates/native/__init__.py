"""How a host function of ours reaches Wasmtime's own: its C API, values as it holds them, the passthrough. Judges nothing."""
