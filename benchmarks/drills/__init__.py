"""What strangers do to a running service, and what others see of it."""
