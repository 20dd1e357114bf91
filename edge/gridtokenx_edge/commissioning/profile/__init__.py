"""Profiles of meters that are not in the list: found by the display, written, tried."""
