"""The demo weights: their training, their demonstration and their quality."""
