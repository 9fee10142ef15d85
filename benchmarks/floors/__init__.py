"""Networks in bare runtimes, without a server: the floor with which serving is compared."""
