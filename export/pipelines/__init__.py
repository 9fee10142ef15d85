"""Exports that publish several networks at once, one file each."""

PIPELINES = ("diffharmony", "diffreharmony")
"""All of them, by file and command."""
