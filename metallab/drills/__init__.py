"""Drills: something is broken for real, a client's view of it is measured, and it is undone and proven whole again."""
