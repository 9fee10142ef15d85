"""`concord bulk` on a Ray cluster of two nodes on this machine: what it costs, and what is lost when it is killed."""
