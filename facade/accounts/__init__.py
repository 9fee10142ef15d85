"""People who sign in with a name and a password: their sessions, keys and limits, kept in the store."""
