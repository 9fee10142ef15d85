"""Results that accounts have asked to keep: pictures in a folder of encrypted files, and what they are in the store."""
