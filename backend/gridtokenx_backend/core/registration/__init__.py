"""Who takes part: the terms in force, and the gateways that were enrolled."""
