"""What an installer writes: the config of a site, its secrets, and what is wrong with them."""
