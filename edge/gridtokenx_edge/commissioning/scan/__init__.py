"""Finds who is on a bus: tries settings and addresses, and names meters by their answers.

It never writes.
"""
