"""Referring expressions for composites: chosen by people in the browser, and kept as records."""
