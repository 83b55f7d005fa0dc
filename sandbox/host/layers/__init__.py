"""What the operating system holds when everything above it has failed."""
