"""What may be put to the core (inputs), and what came of it (outcomes)."""
