"""Meters as data: their profiles, what to ask them, what their registers mean. No I/O
beyond files.
"""
