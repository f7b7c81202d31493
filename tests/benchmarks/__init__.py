"""A package, so that its conftest has a name of its own: pytest imports it before the one above."""
