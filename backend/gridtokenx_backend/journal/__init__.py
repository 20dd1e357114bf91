"""The journal: entries with their public leaves, and the SQLite file that keeps them."""
