"""The backend: oracle, ledger, market, journal and API of one community.

This is an application: its commands, formats, HTTP API and config are public (docs/stability.md),
and no name inside it is.
"""
