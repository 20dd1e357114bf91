"""The values of a statement, and the months that it is about."""
