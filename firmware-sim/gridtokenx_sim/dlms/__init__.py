"""Simulated DLMS meters: the same physics as behind Modbus, the field's other language."""
