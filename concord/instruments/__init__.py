"""Measuring instruments: time, memory, Triton's statistics, and the machine."""
