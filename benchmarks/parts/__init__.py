"""What the benchmark measures, a part in each module."""
