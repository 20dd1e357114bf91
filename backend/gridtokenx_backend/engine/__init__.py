"""The one writer of a community, and what time alone calls for."""
