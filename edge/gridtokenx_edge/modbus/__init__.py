"""Meters on Modbus lines: asking one, and asking many at their own times."""
