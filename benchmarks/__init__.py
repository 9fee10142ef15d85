"""Costs of serving, latency and memory, and those of what a user would run instead, measured in the same run."""
