"""The agent on the site's gateway: polls meters, signs what it read, stores, forwards.

This is an application: its commands, formats and config are public (docs/stability.md), and no
name inside it is.
"""
