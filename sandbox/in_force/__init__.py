"""What holds for a component now: the document that was accepted, grants, sessions, secrets, compiled; and how it is shown."""
