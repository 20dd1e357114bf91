"""The core's inputs, and their outcomes: what becomes journal entries."""
