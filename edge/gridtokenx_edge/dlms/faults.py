"""The errors of the DLMS library as faults of a poll (see polling/faults.py)."""

from __future__ import annotations

from gridtokenx_dlms.errors import (
    AccessRefusedError,
    DlmsError,
    LinkError,
    RefusedError,
    SecurityError,
    UnsupportedError,
)
from gridtokenx_edge.polling.faults import (
    BusFault,
    MeterDenied,
    MeterGarbled,
    MeterSilent,
    MeterUntrusted,
)


def fault_of(error: DlmsError) -> BusFault:
    """Return the fault that an error of the DLMS library means for the meter's poll."""
    match error:
        case LinkError():
            return MeterSilent(str(error))
        case AccessRefusedError() | RefusedError() | UnsupportedError():
            return MeterDenied(str(error))
        case SecurityError():
            return MeterUntrusted(str(error))
    return MeterGarbled(str(error))
