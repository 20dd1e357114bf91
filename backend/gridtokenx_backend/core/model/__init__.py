"""The values that the core decides about: meters, members, accounts, zones, terms."""
