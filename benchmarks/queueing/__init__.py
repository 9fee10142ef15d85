"""How long requests wait before replicas, by simulation."""
