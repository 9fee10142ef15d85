"""The library that runs inside Concord's Triton models and its embedded server: numpy in, numpy out, never torch."""
