"""The HTTP API: handlers turn requests into inputs of the core, and durable state into JSON."""
