"""The way of a stored frame to the backend and of its ack back."""
