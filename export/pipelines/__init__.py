"""Exports that publish several networks at once, or one from several checkpoints, one file each."""

from export.networks import BY_PIPELINE

PIPELINES = tuple(BY_PIPELINE)
"""All of them, by file and command."""
