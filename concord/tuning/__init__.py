"""``concord tune``: finds, for every network, the fastest variant on this machine whose pictures pass their gate."""
