"""Signature checks in processes of their own, so that the event loop need not wait."""
