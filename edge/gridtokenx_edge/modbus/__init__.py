"""The Modbus driver: lines, requests and replies, and readers of registers and of SunSpec
models.
"""
