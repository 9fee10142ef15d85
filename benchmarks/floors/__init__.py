"""Networks in bare runtimes, without a server: what serving is compared with."""
