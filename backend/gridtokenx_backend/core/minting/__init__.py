"""Token minting: from a signed frame to the GRID of its surplus, and corrections of it."""
