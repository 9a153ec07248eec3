"""How the context c enters a model: one embedding of all its entries, each of which may be unknown."""
