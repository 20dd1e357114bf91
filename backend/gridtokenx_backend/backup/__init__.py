"""Backups: all that a community needs in one folder or file, and the way back."""
