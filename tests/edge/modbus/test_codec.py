"""Requests and replies as bytes: whole, one at a time, behind noise, and anything at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.codec import (
    Answer,
    Codec,
    MbapCodec,
    NonAnswer,
    NotModbus,
    Refusal,
    RtuCodec,
    Words,
    crc16,
)

BLOCK = Block(fc=4, address=0x0034, count=2)
# Printed in Eastron's manual: the request for 0x0156, and a reply of 230.2 kWh.
PRINTED = Block(fc=4, address=0x0156, count=2)
PRINTED_REQUEST = "01 04 01 56 00 02 90 27"
PRINTED_REPLY = "01 04 04 43 66 33 33 5a fa"

Frame = Callable[[str], bytes]


def fed(codec: Codec, data: bytes) -> Answer | None:
    """The answer to bytes that come one by one; nothing may follow it."""
    for at in range(len(data)):
        if answer := codec.feed(data[at : at + 1]):
            assert at == len(data) - 1, "complete at its last byte, and not before"
            return answer
    return None


def test_a_request_is_the_manuals() -> None:
    assert RtuCodec().ask(1, PRINTED) == bytes.fromhex(PRINTED_REQUEST)


@pytest.mark.parametrize("feed", [lambda codec, data: codec.feed(data), fed])
def test_the_manuals_reply_is_read_whole_and_byte_by_byte(
    feed: Callable[[Codec, bytes], Answer | None],
) -> None:
    codec = RtuCodec()
    codec.ask(1, PRINTED)
    assert feed(codec, bytes.fromhex(PRINTED_REPLY)) == Words([0x4366, 0x3333])


def test_the_checksum_is_the_standards() -> None:
    """V1.02 gives 0x1241 for 02 07 (appendix B, figure of the CRC's steps)."""
    assert crc16(bytes.fromhex("02 07")) == bytes.fromhex("41 12")


NOISE = [
    "00",
    "ff",
    "01",
    "01 04",
    "01 04 04",
    "01 84",
    "ff fe fd 01",
    "01 04 04 44 9a 52 25 00 00",
]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("echo", ["", "01 04 00 34 00 02 30 05"])
def test_an_answer_is_found_behind_noise_and_behind_an_echo(
    rtu: Frame, noise: str, echo: str
) -> None:
    codec = RtuCodec()
    assert codec.ask(1, BLOCK) == bytes.fromhex("01 04 00 34 00 02 30 05")
    good = bytes.fromhex(echo) + bytes.fromhex(noise) + rtu("01 04 04 44 9a 52 25")
    assert fed(codec, good) == Words([0x449A, 0x5225])
    assert codec.is_echoed is bool(echo)


def test_an_echo_that_holds_the_head_of_a_reply_is_no_reply(rtu: Frame) -> None:
    """Two registers from 0x0434: the echo begins as a reply of two registers would."""
    codec = RtuCodec()
    echo = codec.ask(1, Block(fc=4, address=0x0434, count=2))
    assert echo[:3] == bytes.fromhex("01 04 04")
    assert fed(codec, echo + rtu("01 04 04 00 01 00 02")) == Words([1, 2])


def test_what_is_left_of_one_request_answers_no_other(rtu: Frame) -> None:
    codec = RtuCodec()
    codec.ask(1, BLOCK)
    assert codec.feed(rtu("01 04 04 44 9a 52 25")[:-1]) is None
    codec.give_up()
    assert codec.feed(rtu("01 04 04 44 9a 52 25")[-1:]) is None, "nothing is being asked"
    codec.ask(1, BLOCK)
    assert codec.feed(rtu("01 04 04 44 9a 52 25")[-1:]) is None


@pytest.mark.parametrize(
    ("bytes_", "heard"),
    [
        ("", NonAnswer()),
        ("echo", NonAnswer(text="only the echo of the request")),
        ("02 04 04 44 9a 52 25 +", NonAnswer(text="a reply of address 2")),
        ("01 04 02 44 9a +", NonAnswer(text="1 with function code 4", is_reply=True)),
        ("01 03 04 44 9a 52 25 +", NonAnswer(text="2 with function code 3", is_reply=True)),
        ("01 83 02 +", NonAnswer(text="a reply with function code 0x83", is_reply=True)),
        ("01 04 04 44 9a 52 25 00 00", NonAnswer(text="a reply with a wrong checksum")),
        ("01 04 04 44 9a 52", NonAnswer(text="only 6 bytes of a reply of 9")),
        ("00 00 00 00 00 00 00 00 00", NonAnswer(text="9 bytes that are no reply")),
    ],
)
def test_what_was_heard_instead_is_named(rtu: Frame, bytes_: str, heard: NonAnswer) -> None:
    codec = RtuCodec()
    request = codec.ask(1, BLOCK)
    data = request if bytes_ == "echo" else bytes.fromhex(bytes_.rstrip("+"))
    if bytes_.endswith("+"):
        data = rtu(bytes_.rstrip("+"))
    assert codec.feed(data) is None
    assert codec.give_up() == heard


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_bytes_are_an_rtu_answer_unless_they_hold_its_frame(parts: list[bytes]) -> None:
    codec = RtuCodec()
    codec.ask(1, BLOCK)
    heard = b""
    for part in parts:
        heard += part
        answer = codec.feed(part)
        if answer is None:
            continue
        frame = (
            bytes([1, 4, 4]) + b"".join(word.to_bytes(2, "big") for word in answer.words)
            if isinstance(answer, Words)
            else bytes([1, 0x84, answer.code])
        )
        assert frame + crc16(frame) in heard
        return
    assert codec.give_up().text or not heard


@given(
    st.integers(1, 247),
    st.sampled_from([3, 4]),
    st.integers(0, 0xFF00),
    st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125),
    st.binary(max_size=40),
    st.integers(0, 2),
    st.data(),
)
def test_every_reply_is_read_however_it_is_cut(
    unit: int,
    fc: int,
    start: int,
    words: list[int],
    noise: bytes,
    echoes: int,
    data: st.DataObject,
) -> None:
    codec = RtuCodec()
    request = codec.ask(unit, Block(fc=fc, address=start, count=len(words)))
    body = bytes([unit, fc, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    stream = request * bool(echoes) + noise * (echoes != 1) + body + crc16(body)
    answers = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        answers.append(codec.feed(stream[:cut]))
        stream = stream[cut:]
    found = [answer for answer in answers if answer]
    if not noise:
        assert found == [Words(words)]
    else:  # noise may by chance begin a frame, but never changes a value
        assert all(isinstance(answer, Refusal) or answer == Words(words) for answer in found)


# --- Modbus TCP ---------------------------------------------------------------------------------


def mbap(number: int, address: int, pdu: str) -> bytes:
    body = bytes([address]) + bytes.fromhex(pdu)
    return number.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body


def test_a_tcp_request_has_its_number_and_length() -> None:
    codec = MbapCodec()
    assert codec.ask(5, BLOCK) == bytes.fromhex("00 01 00 00 00 06 05 04 00 34 00 02")
    assert codec.ask(5, BLOCK)[:2] == bytes.fromhex("00 02")


def test_a_tcp_reply_is_read_byte_by_byte_and_a_late_one_is_dropped() -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    codec.give_up()
    codec.ask(1, BLOCK)
    late = mbap(1, 1, "04 04 00 00 00 01")
    assert fed(codec, late + mbap(2, 1, "04 04 00 00 00 02")) == Words([0, 2])


def test_a_late_tcp_reply_may_end_in_the_next_request() -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    late = mbap(1, 1, "04 04 00 00 00 01")
    assert codec.feed(late[:5]) is None
    codec.give_up()
    codec.ask(1, BLOCK)
    assert codec.feed(late[5:] + mbap(2, 1, "04 04 00 00 00 02")) == Words([0, 2])


@pytest.mark.parametrize(
    ("address", "pdu", "heard"),
    [
        (2, "04 04 00 00 00 01", NonAnswer(text="a reply of address 2")),
        (1, "04 02 00 01", NonAnswer(text="1 with function code 4", is_reply=True)),
        (1, "04 04 00 01", NonAnswer(text="2 with function code 4", is_reply=True)),
        (1, "03 04 00 00 00 01", NonAnswer(text="2 with function code 3", is_reply=True)),
        (1, "83 02", NonAnswer(text="a reply with function code 0x83", is_reply=True)),
    ],
)
def test_a_tcp_reply_that_answers_something_else_is_named(
    address: int, pdu: str, heard: NonAnswer
) -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    assert codec.feed(mbap(1, address, pdu)) is None
    assert codec.give_up() == heard


def test_a_tcp_refusal_has_its_code() -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    assert codec.feed(mbap(1, 1, "84 0b")) == Refusal(11)


@pytest.mark.parametrize(
    "text", [b"HTTP/1.1 400 Bad Request", b"\0\1\0\0\0\2\1\4", bytes([255]) * 9]
)
def test_what_is_no_modbus_tcp_is_said_at_once(text: bytes) -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    with pytest.raises(NotModbus, match=f"expected Modbus TCP, got {text[:4].hex(' ')}"):
        codec.feed(text)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_on_tcp_are_an_answer_or_nothing_or_no_modbus(parts: list[bytes]) -> None:
    codec = MbapCodec()
    codec.ask(1, BLOCK)
    try:
        for part in parts:
            answer = codec.feed(part)
            assert answer is None or part
    except NotModbus:
        return
    codec.give_up()
