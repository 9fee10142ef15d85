"""Finds the fastest form of every network on the machine at hand that keeps its gate: ``concord tune``."""
