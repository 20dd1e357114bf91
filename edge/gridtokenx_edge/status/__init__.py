"""A page and metrics about the gateway, for the machine that it runs on."""
