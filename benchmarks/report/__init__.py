"""The performance page, from what was measured: ``python -m benchmarks.report``."""
