"""The wrapper of TCP and UDP, in every portion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.wrapper import WrapperMessage, WrapperReader, parse_datagram

PORTS = st.integers(0, 0xFFFF)
MESSAGES = st.builds(
    WrapperMessage, source=PORTS, destination=PORTS, message=st.binary(max_size=60)
)


def test_a_message_has_eight_bytes_before_it() -> None:
    message = WrapperMessage(source=16, destination=1, message=bytes.fromhex("c001c1"))
    assert message.to_bytes().hex() == "0001001000010003c001c1"
    assert parse_datagram(message.to_bytes()) == message


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_messages_arrive_in_any_portions(sent: list[WrapperMessage], data: st.DataObject) -> None:
    stream = b"".join(message.to_bytes() for message in sent)
    reader, found, at = WrapperReader(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 30))
        found += reader.feed(stream[at : at + size])
        at += size
    assert found == sent


@pytest.mark.parametrize(
    "text", ["", "0001001000010003c001", "0001001000010000" * 2, "0002001000010000"]
)
def test_a_datagram_holds_one_whole_message(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_datagram(bytes.fromhex(text))


def test_a_message_too_long_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        WrapperMessage(source=1, destination=1, message=bytes(65_536)).to_bytes()
