"""The published networks, one file each: keys and constants as published, sizes from a config."""
