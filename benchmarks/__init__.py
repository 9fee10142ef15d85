"""Costs of serving, latency and memory, and those of what a user would run instead: ``python -m benchmarks``."""

from pathlib import Path

OUTPUT = Path("out/bench")
"""Receives the report; keeps exported networks between runs."""
