"""The components of a home: where they come from, what they ask for, what was accepted, what stands installed."""
