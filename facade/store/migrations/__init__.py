"""The migrations of the facade's tables: a module is one, and changes no more once it is released."""
