"""JSON ⇄ WIT values, through real guests."""
