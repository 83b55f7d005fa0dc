"""Change what components may do, while they run: grants, denies, revokes, documents; and what a change did."""
