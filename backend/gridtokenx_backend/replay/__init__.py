"""The journal applied again: at a start, and to verify what was stored."""
