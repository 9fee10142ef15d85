"""The measurements of the benchmark, one part per module."""
