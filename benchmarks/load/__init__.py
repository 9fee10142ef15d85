"""A load generator for any pipeline of any KServe server: ``python -m benchmarks.load``."""
