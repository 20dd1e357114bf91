"""What SNRM and UA negotiate (Green Book 8.4.5.3.2): field lengths and window sizes.

81 80 | length | 05 n ... | 06 n ... | 07 n ... | 08 n ...
"""

from __future__ import annotations

import msgspec

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.hdlc.frame import MAX_INFORMATION

DEFAULT_INFORMATION = 128
DEFAULT_WINDOW = 1
_FORMAT_IDENTIFIER = 0x81
_GROUP_IDENTIFIER = 0x80
_WIDEST_WINDOW = 7
_TRANSMIT_LENGTH, _RECEIVE_LENGTH, _TRANSMIT_WINDOW, _RECEIVE_WINDOW = 5, 6, 7, 8


class LinkParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The parameters of a link as one end sees them: what it sends at most, and what it takes."""

    transmit_length: int = DEFAULT_INFORMATION
    receive_length: int = DEFAULT_INFORMATION
    transmit_window: int = DEFAULT_WINDOW
    receive_window: int = DEFAULT_WINDOW

    def __post_init__(self) -> None:
        for length in (self.transmit_length, self.receive_length):
            if not 32 <= length <= MAX_INFORMATION:
                raise ValueError(f"expected a length of 32 to {MAX_INFORMATION}, got {length}")
        for window in (self.transmit_window, self.receive_window):
            if not 1 <= window <= _WIDEST_WINDOW:
                raise ValueError(f"expected a window of 1 to {_WIDEST_WINDOW}, got {window}")

    def to_bytes(self, *, explicit: bool = False) -> bytes:
        """Return the information field of SNRM or UA.

        It is empty where all is default, unless `explicit`.
        """
        if self == LinkParameters() and not explicit:
            return b""
        group = b"".join(
            (
                _number(_TRANSMIT_LENGTH, self.transmit_length),
                _number(_RECEIVE_LENGTH, self.receive_length),
                bytes((_TRANSMIT_WINDOW, 4)) + self.transmit_window.to_bytes(4, "big"),
                bytes((_RECEIVE_WINDOW, 4)) + self.receive_window.to_bytes(4, "big"),
            )
        )
        return bytes((_FORMAT_IDENTIFIER, _GROUP_IDENTIFIER, len(group))) + group

    def meet(self, offered: LinkParameters) -> LinkParameters:
        """Return what both ends can do, seen from this end; `offered` is how the other sees it."""
        return LinkParameters(
            transmit_length=min(self.transmit_length, offered.receive_length),
            receive_length=min(self.receive_length, offered.transmit_length),
            transmit_window=min(self.transmit_window, offered.receive_window),
            receive_window=min(self.receive_window, offered.transmit_window),
        )


def _number(identifier: int, value: int) -> bytes:
    size = 1 if value < 0x100 else 2
    return bytes((identifier, size)) + value.to_bytes(size, "big")


def parse_parameters(information: bytes) -> LinkParameters:
    """Return what the peer offers; defaults for what it leaves out. Raises MalformedError.

    Values out of range are brought into it: some meters offer a length of 0 or of 65,535.
    """
    if not information:
        return LinkParameters()
    if len(information) < 3 or information[0] != _FORMAT_IDENTIFIER:
        raise MalformedError("expected the format identifier 0x81 of HDLC parameters")
    if information[1] != _GROUP_IDENTIFIER or information[2] != len(information) - 3:
        raise MalformedError("expected one group of HDLC parameters")
    found: dict[int, int] = {}
    at = 3
    while at < len(information):
        if at + 2 > len(information):
            raise MalformedError("expected a length of an HDLC parameter")
        identifier, size = information[at], information[at + 1]
        value = information[at + 2 : at + 2 + size]
        if len(value) != size or not 1 <= size <= 4:
            raise MalformedError("expected an HDLC parameter of 1 to 4 bytes")
        found[identifier] = int.from_bytes(value, "big")
        at += 2 + size
    return LinkParameters(
        transmit_length=_length(found.get(_TRANSMIT_LENGTH, DEFAULT_INFORMATION)),
        receive_length=_length(found.get(_RECEIVE_LENGTH, DEFAULT_INFORMATION)),
        transmit_window=_window(found.get(_TRANSMIT_WINDOW, DEFAULT_WINDOW)),
        receive_window=_window(found.get(_RECEIVE_WINDOW, DEFAULT_WINDOW)),
    )


def _length(value: int) -> int:
    return max(32, min(value, MAX_INFORMATION)) if value else DEFAULT_INFORMATION


def _window(value: int) -> int:
    return max(1, min(value, _WIDEST_WINDOW))
