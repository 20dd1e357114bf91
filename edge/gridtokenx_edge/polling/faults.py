"""Everything that can go wrong when a meter is read, whatever protocol it speaks.

Each text is one line for a person. The name of a class is the label of a metric (`meter_silent`).

BusFault
├── LineDown            the port or the connection is gone; it concerns every meter on the line
│   └── LineUnfit       the port cannot do the rate or the parity that the config asks for
└── MeterFault          one meter is concerned, and the line works
    ├── MeterSilent     no valid reply came in time (silence, noise, a wrong checksum)
    ├── MeterGarbled    a reply came that does not answer the request
    ├── MeterDenied     the meter understood and said no
    │   └── MeterRefused    a Modbus exception reply, with its code (in modbus/faults.py)
    ├── MeterUntrusted  keys, counters or authentication tags are not those that were agreed
    ├── MeterStrange    the meter is not the one in the config
    └── ValueMissing    the meter has no value where its profile promises one
"""

from __future__ import annotations


class BusFault(Exception):
    """A meter could not be read; the subclass says what to do about it."""


class LineDown(BusFault):
    """The serial port or the connection is gone."""


class LineUnfit(LineDown):
    """The serial port's driver refuses the rate or the parity."""


class MeterFault(BusFault):
    """One meter could not be read, over a line that works."""


class MeterSilent(MeterFault):
    """No valid reply came in time."""


class MeterGarbled(MeterFault):
    """The reply does not answer the request."""


class MeterDenied(MeterFault):
    """The meter understood the request and refused it, or refused to be asked at all."""


class MeterUntrusted(MeterFault):
    """Keys, counters or authentication tags are not those that were agreed."""


class MeterStrange(MeterFault):
    """The meter is another one than the config says; `says` is the id that it told, if any."""

    def __init__(self, text: str, *, says: str = "") -> None:
        super().__init__(text)
        self.says = says

    @classmethod
    def of_id(cls, expected: str, found: str) -> MeterStrange:
        """Return the fault of a meter that told another id than the expected one."""
        return cls(f"expected {expected}, but the meter says it is {found}", says=found)


class ValueMissing(MeterFault):
    """The meter has no value where its profile promises one."""
