"""Decisions looked at again: why one fell as it did, and what another document would have said."""
