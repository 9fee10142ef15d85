"""The demo weights: how they are trained, shown and measured."""
