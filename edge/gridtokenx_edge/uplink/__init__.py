"""The uplink: how a stored frame gets to the backend, and how its ack comes back."""
