"""Loops over networks: a request is a coroutine that asks networks step by step; and how Triton runs it."""
