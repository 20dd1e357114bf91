"""The HTTP API: handlers turn requests into inputs, and durable state into JSON."""
