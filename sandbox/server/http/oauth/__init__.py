"""Signed tokens: an issuer's keys, what a token must be, and the subject that it stands for."""
