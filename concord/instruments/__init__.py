"""Measuring: time, memory, Triton's statistics, and the machine."""
