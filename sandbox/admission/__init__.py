"""Who may ask: a request becomes a decision, and only an allowed one becomes an `Admission`."""
