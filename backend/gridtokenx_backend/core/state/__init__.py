"""All that the core remembers of a community, and its way to and from a snapshot."""
