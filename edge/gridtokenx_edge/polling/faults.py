"""What can go wrong when a meter is asked. Each text is one line for a person.

BusFault
├── LineDown        the port or connection is gone; concerns every meter on it
│   └── LineUnfit   the port cannot do the rate or parity asked for
├── MeterSilent     no valid reply in time (silence, noise, wrong checksum)
├── MeterRefused    an exception reply (Modbus Application Protocol V1.1b3, 7)
├── MeterGarbled    a reply that does not answer the request
├── MeterStrange    the meter is not the one in the config
└── ValueMissing    the meter has no value where its profile promises one
"""

from __future__ import annotations

ILLEGAL_FUNCTION = 1
ILLEGAL_DATA_ADDRESS = 2
ILLEGAL_DATA_VALUE = 3
_EXCEPTIONS = {
    ILLEGAL_FUNCTION: "illegal function",
    ILLEGAL_DATA_ADDRESS: "illegal data address",
    ILLEGAL_DATA_VALUE: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


class BusFault(Exception):
    """A meter could not be read; the subclass says what to do about it."""


class LineDown(BusFault):
    """The serial port or TCP connection is gone."""


class LineUnfit(LineDown):
    """The serial port's driver refuses the rate or the parity."""


class MeterSilent(BusFault):
    """No valid reply in time."""


class MeterRefused(BusFault):
    """The meter answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"answered exception {code} ({_EXCEPTIONS.get(code, 'unknown')})")
        self.code = code


class MeterGarbled(BusFault):
    """The reply does not answer the request."""


class MeterStrange(BusFault):
    """The meter is another than the config says; `says` is the id that it told, if any."""

    def __init__(self, text: str, *, says: str = "") -> None:
        super().__init__(text)
        self.says = says


class ValueMissing(BusFault):
    """The meter has no value where its profile promises one."""
