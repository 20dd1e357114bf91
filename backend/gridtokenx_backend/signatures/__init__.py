"""Signature checks in processes beside the event loop."""
