"""Many photographs in one request."""
