"""The pure core: everything that decides. No I/O, no clock, no randomness in here.

`machine.Machine.apply(input, at_ms)` is the only way in.
"""
