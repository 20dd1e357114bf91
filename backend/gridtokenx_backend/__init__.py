"""The backend: oracle, ledger, market, journal and API of one community."""
