"""Triton's configurations of a model repository, generated from what networks declare."""
