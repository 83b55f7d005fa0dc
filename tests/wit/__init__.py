"""What a component says it is, judged without wasm."""
