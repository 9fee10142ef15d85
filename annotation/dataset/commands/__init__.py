"""``concord dataset``: one module for each action."""
