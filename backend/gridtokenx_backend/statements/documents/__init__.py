"""Statements and reports, put together from a fold."""
