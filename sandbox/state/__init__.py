"""What is remembered: grants, components and denials in one atomic store."""
