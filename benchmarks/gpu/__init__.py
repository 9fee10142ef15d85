"""What the networks and the server cost on a GPU: ``python -m benchmarks.gpu``, or the benchmark's part `gpu`."""

from benchmarks import OUTPUT

FOLDER = OUTPUT / "gpu"
"""Receives the results of every step; keeps exported networks between runs."""
