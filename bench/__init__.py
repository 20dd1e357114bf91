"""Measurements: `scripts/bench NAME`. Each prints one table or, with --json, one JSON object."""
