"""The serial wire between meters and a gateway: a pair of pseudo-terminals, and its timing."""
