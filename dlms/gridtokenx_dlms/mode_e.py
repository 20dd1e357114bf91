"""The opening of IEC 62056-21 in mode E (Annex E): from 300 baud ASCII to HDLC.

    client  /?!                      300 baud, 7 data bits, even parity
    meter   /ISK5\\2M550T-1012        its maker, its baud rate (5), and that it speaks HDLC (\\2)
    client  ACK 2 5 2                HDLC, at 9,600 baud, binary mode
    meter   ACK 2 5 2                at 9,600 baud already; some do not repeat it

The parity is put on here, so that the port may stay at 8N1: pseudo-terminals and some adapters
cannot change theirs.
"""

from __future__ import annotations

import re

import msgspec

from gridtokenx_dlms.errors import MalformedError, UnsupportedError

OPENING_BAUD = 300
MAX_IDENTIFICATION = 128
BAUD_RATES = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
_IDENTIFICATION = re.compile(rb"/([A-Za-z]{3})([0-9A-I])((?:\\[^\r\n])*)([^\r\n]{0,64})\r\n")
_DEVICE = re.compile(r"[0-9A-Za-z ]{0,32}", re.ASCII)
_HDLC_OPTION = b"\\2"
_ACK = b"\x06"


class Identification(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter says of itself. `speaks_hdlc` is what mode E needs."""

    maker: str
    baud_code: str
    name: str
    speaks_hdlc: bool

    @property
    def baud(self) -> int:
        """The rate that it offers. Raises UnsupportedError for one of another mode."""
        if self.baud_code not in BAUD_RATES:
            raise UnsupportedError(f"expected a baud rate of 0 to 6, got {self.baud_code!r}")
        return BAUD_RATES[self.baud_code]

    def to_bytes(self) -> bytes:
        option = _HDLC_OPTION if self.speaks_hdlc else b""
        return (
            b"/" + f"{self.maker}{self.baud_code}".encode() + option + self.name.encode() + b"\r\n"
        )


def request_message(device: str = "") -> bytes:
    """Ask who is there; `device` addresses one of several. Raises ValueError."""
    if not _DEVICE.fullmatch(device):
        raise ValueError("expected a device address of at most 32 letters, digits and blanks")
    return b"/?" + device.encode() + b"!\r\n"


def parse_request(line: bytes) -> str:
    """Return the device address in a request message. Raises MalformedError."""
    matched = re.fullmatch(rb"/\?([0-9A-Za-z ]{0,32})!\r\n", line)
    if not matched:
        raise MalformedError("expected a request message such as /?!")
    return matched[1].decode()


def parse_identification(received: bytes) -> Identification:
    """Find the identification in what came at 300 baud, noise before it included.

    Raises MalformedError.
    """
    matched = _IDENTIFICATION.search(received)
    if not matched:
        raise MalformedError("expected an identification such as /ISK5\\2M550T")
    maker, baud, options, name = matched.groups()
    return Identification(
        maker=maker.decode(),
        baud_code=baud.decode(),
        name=name.decode("ascii", "replace"),
        speaks_hdlc=_HDLC_OPTION in options,
    )


def option_select(baud_code: str) -> bytes:
    """Choose HDLC in binary mode at the rate of `baud_code`."""
    if baud_code not in BAUD_RATES:
        raise ValueError(f"expected a baud rate of 0 to 6, got {baud_code!r}")
    return _ACK + b"2" + baud_code.encode() + b"2\r\n"


def parse_option_select(line: bytes) -> str:
    """Return the chosen baud rate's code.

    Raises MalformedError, UnsupportedError for other modes.
    """
    matched = re.fullmatch(rb"\x06(.)(.)(.)\r\n", line, re.DOTALL)
    if not matched:
        raise MalformedError("expected an acknowledgement with three options")
    protocol, baud, mode = (option.decode("latin-1") for option in matched.groups())
    if protocol != "2" or mode != "2" or baud not in BAUD_RATES:
        raise UnsupportedError("expected the choice of HDLC in binary mode")
    return baud


def with_parity(data: bytes) -> bytes:
    """Return 7-bit characters with even parity in the high bit."""
    return bytes(byte | (byte.bit_count() & 1) << 7 for byte in data)


def without_parity(data: bytes) -> bytes:
    """Return the 7-bit characters. Raises MalformedError where a parity is wrong."""
    if any(byte.bit_count() & 1 for byte in data):
        raise MalformedError("expected characters of even parity")
    return bytes(byte & 0x7F for byte in data)
