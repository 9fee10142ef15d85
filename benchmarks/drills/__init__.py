"""What attacks, kills and long use do to a running service."""
