"""The tasks a user types: one module a namespace, each task flags and one call."""
