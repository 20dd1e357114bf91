"""The opening of IEC 62056-21 in mode E, with its parity made here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms import mode_e
from gridtokenx_dlms.errors import MalformedError, UnsupportedError
from gridtokenx_dlms.mode_e import Identification


def test_a_request_asks_for_anyone_or_for_one() -> None:
    assert mode_e.request_message() == b"/?!\r\n"
    assert mode_e.parse_request(mode_e.request_message("12345")) == "12345"
    with pytest.raises(ValueError, match="device address"):
        mode_e.request_message("1!2")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            b"/ISK5\\2M550T-1012\r\n",
            Identification(maker="ISK", baud_code="5", name="M550T-1012", speaks_hdlc=True),
        ),
        (
            b"/LGZ4\\2ZMF100AC.M23\r\n",
            Identification(maker="LGZ", baud_code="4", name="ZMF100AC.M23", speaks_hdlc=True),
        ),
        (
            b"\x00\xff/?!\r\n/EMH5\\@01LZQJL0013F\r\n",
            Identification(maker="EMH", baud_code="5", name="", speaks_hdlc=False),
        ),
        (
            b"/ESY5Q3DA1004 V3.03\r\n",
            Identification(maker="ESY", baud_code="5", name="Q3DA1004 V3.03", speaks_hdlc=False),
        ),
    ],
)
def test_an_identification_is_found(line: bytes, expected: Identification) -> None:
    found = mode_e.parse_identification(line)
    assert (found.maker, found.baud_code, found.speaks_hdlc) == (
        expected.maker,
        expected.baud_code,
        expected.speaks_hdlc,
    )
    if b"\\@" not in line:
        assert found == expected
        assert found.to_bytes() == line
    assert found.baud == {"5": 9600, "4": 4800}[found.baud_code]


def test_a_mode_is_chosen() -> None:
    assert mode_e.option_select("5") == b"\x06252\r\n"
    assert mode_e.parse_option_select(b"\x06252\r\n") == "5"
    for line in (b"\x06050\r\n", b"\x06250\r\n", b"\x06292\r\n"):
        with pytest.raises(UnsupportedError):
            mode_e.parse_option_select(line)
    with pytest.raises(MalformedError):
        mode_e.parse_option_select(b"\x06252")


@pytest.mark.parametrize("line", [b"", b"ISK5\r\n", b"/ISK5\\2M550T", b"/IS5\r\n"])
def test_anything_else_is_no_identification(line: bytes) -> None:
    with pytest.raises(MalformedError):
        mode_e.parse_identification(line)


def test_parity_is_even() -> None:
    assert mode_e.with_parity(b"/?!\r\n").hex() == "af3f218d0a"


@given(st.binary(max_size=40).map(lambda data: bytes(byte & 0x7F for byte in data)))
def test_parity_comes_off_again_and_a_wrong_one_is_noticed(text: bytes) -> None:
    coded = mode_e.with_parity(text)
    assert mode_e.without_parity(coded) == text
    for at in range(len(coded)):
        with pytest.raises(MalformedError):
            mode_e.without_parity(coded[:at] + bytes((coded[at] ^ 1,)) + coded[at + 1 :])
