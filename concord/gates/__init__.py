"""Gates: limits on how far a faster network's pictures may be from the default's, on pictures not used in training."""
