"""Several Concords behind HAProxy: what balancing costs, and what is lost when one of them is killed."""
