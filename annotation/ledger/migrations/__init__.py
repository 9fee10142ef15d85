"""The migrations of the ledger's tables; a module is one, and changes no more once it is released."""
