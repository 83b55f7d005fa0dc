"""What happened: events become redacted, chained records."""
