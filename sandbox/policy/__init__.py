"""What is written: a policy document, read strictly; what a grant makes of it.

A list without imports: a worker judges by `sandbox.policy.globs` and has no use for what reads documents.
`load` reads a document, `models` is what it becomes, `grants` is what a grant makes of it, `schema` publishes it.
"""
