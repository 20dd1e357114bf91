"""The meters in the Home Assistant of the house, by way of its own broker."""
