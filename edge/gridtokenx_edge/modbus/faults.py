"""What a Modbus meter's exception reply means (Modbus Application Protocol V1.1b3, 7)."""

from __future__ import annotations

from gridtokenx_edge.polling.faults import MeterDenied

ILLEGAL_FUNCTION = 1
ILLEGAL_DATA_ADDRESS = 2
ILLEGAL_DATA_VALUE = 3
ACKNOWLEDGE = 5
DEVICE_BUSY = 6
_EXCEPTIONS = {
    ILLEGAL_FUNCTION: "illegal function",
    ILLEGAL_DATA_ADDRESS: "illegal data address",
    ILLEGAL_DATA_VALUE: "illegal data value",
    4: "device failure",
    ACKNOWLEDGE: "acknowledge",
    DEVICE_BUSY: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}


class MeterRefused(MeterDenied):
    """The meter answered with an exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"answered exception {code} ({_EXCEPTIONS.get(code, 'unknown')})")
        self.code = code

    @property
    def is_busy(self) -> bool:
        """Whether the meter asks to be asked again soon."""
        return self.code in {ACKNOWLEDGE, DEVICE_BUSY}
