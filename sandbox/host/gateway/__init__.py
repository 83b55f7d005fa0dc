"""The egress gateway: the one process that dials for guests, by the rules of the worker that asks."""
