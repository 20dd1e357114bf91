"""Shows the meters in Home Assistant, through the broker of the house itself."""
