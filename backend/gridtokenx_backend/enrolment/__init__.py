"""The community's private certificate authority, and what the broker is told by it."""
