"""The way of a signed frame from the broker, or from a file, to the writer and of its ack back."""
