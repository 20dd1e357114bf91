"""What a meter says that it is."""

from __future__ import annotations

import pytest

from gridtokenx_edge.meters.identity import decode_serial, meter_id
from gridtokenx_edge.meters.profile import Identity

NUMBER = Identity(fc=3, address=0, type="uint32", confidence="single")
DIGITS = Identity(fc=3, address=0, type="bcd", confidence="single")
TEXT = Identity(fc=3, address=0, type="ascii", count=7, confidence="single")


@pytest.mark.parametrize(
    ("identity", "words", "serial"),
    [
        (NUMBER, [0x00BC, 0x614E], "12345678"),
        (NUMBER, [0xFFFF, 0xFFFE], "4294967294"),
        (NUMBER, [0, 0], ""),
        (NUMBER, [0xFFFF, 0xFFFF], ""),
        (DIGITS, [0x0012, 0x3456], "00123456"),
        (DIGITS, [0, 0], ""),
        (DIGITS, [0xFFFF, 0xFFFF], ""),
        (TEXT, [0x4B59, 0x3132, 0x3334, 0x3536, 0x3738, 0x3930, 0x4100], "KY1234567890A"),
        (TEXT, [0x42, 0x41, 0x33, 0x31, 0x30, 0x30, 0x30], "BA31000"),
        (TEXT, [0x4B59, 0x2020, 0x2020, 0, 0, 0, 0], "KY"),
        (TEXT, [0] * 7, ""),
        (TEXT, [0x0708] * 7, ""),
        (TEXT, [0xFFFF] * 7, ""),
    ],
)
def test_a_serial_number_is_read_from_its_registers(
    identity: Identity, words: list[int], serial: str
) -> None:
    assert decode_serial(identity, words) == serial


def test_the_id_is_the_maker_and_the_serial_number() -> None:
    assert meter_id("EASTRON", "12345678") == "EASTRON-12345678"
