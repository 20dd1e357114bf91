"""DLMS/COSEM without I/O: a client half and a server half, written from the published standards.

Green Book: DLMS UA 1000-2 (HDLC, ACSE, xDLMS, security; IEC 62056-46/-47/-53).
Blue Book: DLMS UA 1000-1 (OBIS, interface classes; IEC 62056-61/-62).

The names in `__all__` are public and stay as docs/stability.md says; every other name may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridtokenx_dlms.acse import Mechanism
    from gridtokenx_dlms.aio.client_transport import (
        HdlcTransport,
        Timing,
        Transport,
        WrapperTransport,
        run_service,
    )
    from gridtokenx_dlms.aio.datagram import UdpTransport
    from gridtokenx_dlms.aio.line import ByteLine, SerialLine, StreamLine
    from gridtokenx_dlms.aio.mode_e_opening import OpeningTiming, open_in_mode_e
    from gridtokenx_dlms.client import Authentication, ClientAssociation
    from gridtokenx_dlms.data import Data, DataType
    from gridtokenx_dlms.date_time import CosemDateTime
    from gridtokenx_dlms.errors import (
        AccessRefusedError,
        AssociationRefusedError,
        DlmsError,
        LinkError,
        MalformedError,
        RefusedError,
        SecurityError,
        SequenceError,
        ServiceRefusedError,
        TruncatedError,
        UnsupportedError,
    )
    from gridtokenx_dlms.hdlc.address import HdlcAddress
    from gridtokenx_dlms.hdlc.client_link import ClientLink
    from gridtokenx_dlms.hdlc.parameters import LinkParameters
    from gridtokenx_dlms.mode_e import Identification
    from gridtokenx_dlms.obis import Obis
    from gridtokenx_dlms.objects.selection import CaptureObject, by_entry, by_range, by_time
    from gridtokenx_dlms.security import Keys, Protection, ReplayGuard
    from gridtokenx_dlms.session import Ciphering
    from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute, Selection
    from gridtokenx_dlms.xdlms.notification import DataNotification, parse_data_notification

__all__ = [
    "AccessRefusedError",
    "AccessResult",
    "AssociationRefusedError",
    "Attribute",
    "Authentication",
    "ByteLine",
    "CaptureObject",
    "Ciphering",
    "ClientAssociation",
    "ClientLink",
    "CosemDateTime",
    "Data",
    "DataNotification",
    "DataType",
    "DlmsError",
    "HdlcAddress",
    "HdlcTransport",
    "Identification",
    "Keys",
    "LinkError",
    "LinkParameters",
    "MalformedError",
    "Mechanism",
    "Obis",
    "OpeningTiming",
    "Protection",
    "RefusedError",
    "ReplayGuard",
    "SecurityError",
    "Selection",
    "SequenceError",
    "SerialLine",
    "ServiceRefusedError",
    "StreamLine",
    "Timing",
    "Transport",
    "TruncatedError",
    "UdpTransport",
    "UnsupportedError",
    "WrapperTransport",
    "by_entry",
    "by_range",
    "by_time",
    "open_in_mode_e",
    "parse_data_notification",
    "run_service",
]

_MODULES = {
    "acse": ("Mechanism",),
    "aio.client_transport": (
        "HdlcTransport",
        "Timing",
        "Transport",
        "WrapperTransport",
        "run_service",
    ),
    "aio.datagram": ("UdpTransport",),
    "aio.line": (
        "ByteLine",
        "SerialLine",
        "StreamLine",
    ),
    "aio.mode_e_opening": (
        "OpeningTiming",
        "open_in_mode_e",
    ),
    "client": (
        "Authentication",
        "ClientAssociation",
    ),
    "data": (
        "Data",
        "DataType",
    ),
    "date_time": ("CosemDateTime",),
    "errors": (
        "AccessRefusedError",
        "AssociationRefusedError",
        "DlmsError",
        "LinkError",
        "MalformedError",
        "RefusedError",
        "SecurityError",
        "SequenceError",
        "ServiceRefusedError",
        "TruncatedError",
        "UnsupportedError",
    ),
    "hdlc.address": ("HdlcAddress",),
    "hdlc.client_link": ("ClientLink",),
    "hdlc.parameters": ("LinkParameters",),
    "mode_e": ("Identification",),
    "obis": ("Obis",),
    "objects.selection": (
        "CaptureObject",
        "by_entry",
        "by_range",
        "by_time",
    ),
    "security": (
        "Keys",
        "Protection",
        "ReplayGuard",
    ),
    "session": ("Ciphering",),
    "xdlms.attribute": (
        "AccessResult",
        "Attribute",
        "Selection",
    ),
    "xdlms.notification": (
        "DataNotification",
        "parse_data_notification",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used: nobody loads what they do not need."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
