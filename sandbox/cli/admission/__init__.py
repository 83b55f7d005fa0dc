"""`sandbox admission`: who may make which call."""
