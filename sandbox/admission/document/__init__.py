"""The admission document: what may be written, how it is read, and its author's unit tests."""
