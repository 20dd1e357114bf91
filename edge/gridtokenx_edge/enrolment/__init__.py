"""A gateway asks a community to be let in."""
