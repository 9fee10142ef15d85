"""Around Triton: the embedded server, its installation, health, and what can be served."""
