"""The process that runs one component's calls, one at a time, and can be killed."""
