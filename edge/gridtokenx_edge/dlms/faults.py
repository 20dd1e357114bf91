"""What a DLMS meter can do to its reader, told as the pollers know it (modbus/faults.py)."""

from __future__ import annotations

from gridtokenx_dlms.errors import (
    AccessRefusedError,
    DlmsError,
    LinkError,
    RefusedError,
    SecurityError,
    UnsupportedError,
)
from gridtokenx_edge.polling.faults import BusFault, MeterGarbled, MeterSilent


class MeterDenied(BusFault):
    """The meter said no: an association, an attribute or a service."""


class MeterUntrusted(BusFault):
    """Keys, counters or tags are not those that were agreed."""


def fault_of(error: DlmsError) -> BusFault:
    """The same as a fault of a poll."""
    match error:
        case LinkError():
            return MeterSilent(str(error))
        case AccessRefusedError() | RefusedError() | UnsupportedError():
            return MeterDenied(str(error))
        case SecurityError():
            return MeterUntrusted(str(error))
    return MeterGarbled(str(error))
