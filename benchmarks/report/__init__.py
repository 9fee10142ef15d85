"""The performance page, from the measurements: ``python -m benchmarks.report``."""
