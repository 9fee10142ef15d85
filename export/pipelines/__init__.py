"""Exports that publish several networks at once, one file each."""

PIPELINES = ("diffharmony", "diffreharmony", "crisht")
"""All of them, by file and command."""
