"""What each section of an admission document says of a request, and the one answer that comes of it."""
