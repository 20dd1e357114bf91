"""Simulated Modbus meters and the servers that answer for them."""
