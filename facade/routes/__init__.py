"""The routes of the facade for tasks, and for the server itself."""
