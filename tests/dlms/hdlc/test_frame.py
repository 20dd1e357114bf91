"""HDLC frames: printed examples, the reader in every portion, and noise between frames."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms.errors import MalformedError
from gridtokenx_dlms.hdlc.address import HdlcAddress, address_size
from gridtokenx_dlms.hdlc.checksum import check_sequence
from gridtokenx_dlms.hdlc.frame import FrameKind, FrameReader, HdlcFrame
from gridtokenx_dlms.hdlc.parameters import LinkParameters, parse_parameters

CLIENT = HdlcAddress.client(0x10)
SERVER = HdlcAddress.server(1, 0x11, 4)

# G. Kmethy (DLMS User Association), "Examples for DLMS/COSEM information exchange".
SNRM = bytes.fromhex("7EA00A00020023219318717E")
UA = bytes.fromhex("7EA023210002002373F6C58180140502008006020080070400000001080400000001CE6A7E")
AARQ = bytes.fromhex(
    "7EA02E0002002321107ECBE6E600601DA109060760857405080101BE10040E01000000065F1F040000301DFFFFD4C5"
    "7E"
)


def frames(data: bytes) -> list[HdlcFrame]:
    return list(FrameReader().feed(data))


def test_the_check_sequence_is_that_of_rfc_1662() -> None:
    assert check_sequence(b"123456789") == (0x906E).to_bytes(2, "little")  # CRC-16/X-25's check


def test_the_associations_example_of_connecting_is_read_and_written() -> None:
    (snrm,) = frames(SNRM)
    assert snrm == HdlcFrame(destination=SERVER, source=CLIENT, kind=FrameKind.SNRM)
    assert snrm.to_bytes() == SNRM
    (ua,) = frames(UA)
    assert (ua.kind, ua.destination, ua.source) == (FrameKind.UA, CLIENT, SERVER)
    assert parse_parameters(ua.information) == LinkParameters()
    assert ua.to_bytes() == UA


def test_the_associations_example_of_a_request_is_read_and_written() -> None:
    (request,) = frames(AARQ)
    assert (request.kind, request.send_seq, request.receive_seq, request.poll) == (
        FrameKind.INFORMATION,
        0,
        0,
        True,
    )
    assert request.information[:3].hex() == "e6e600"
    assert request.to_bytes() == AARQ


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (HdlcAddress.client(0x10), "21"),
        (HdlcAddress.server(0x7F), "ff"),
        (HdlcAddress.server(1, 0x11), "0223"),
        (HdlcAddress.server(1, 0x11, 4), "00020023"),
        (HdlcAddress.server(1, 0x3FFF), "0002feff"),
        (HdlcAddress.server(0x1234, 0x0ABC), "48682a79"),
    ],
)
def test_an_address_takes_one_two_or_four_bytes(address: HdlcAddress, text: str) -> None:
    data = bytes.fromhex(text)
    assert address.to_bytes() == data
    assert address_size(data, 0) == len(data)
    assert HdlcAddress.from_bytes(data) == address


@pytest.mark.parametrize(
    "fields", [(128,), (-1,), (1, 0x4000), (0x4000, 1), (1, 1, 1), (1, None, 2)]
)
def test_an_address_that_does_not_fit_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        HdlcAddress.server(*fields)


@pytest.mark.parametrize("text", ["00 02 01", "00 00 00 00"])
def test_an_address_of_three_or_five_bytes_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        address_size(bytes.fromhex(text), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("81 80 04 05 01 40 06", "length of an HDLC parameter"),
        ("80 80 00", "format identifier"),
        ("81 80 09 05 01 40", "one group"),
        ("81 80 02 05 00", "1 to 4 bytes"),
        ("81 80 03 05 02 40", "1 to 4 bytes"),
    ],
)
def test_parameters_that_are_no_parameters_are_malformed(text: str, expected: str) -> None:
    with pytest.raises(MalformedError, match=expected):
        parse_parameters(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", LinkParameters()),
        ("81 80 06 05 01 40 06 01 40", LinkParameters(transmit_length=64, receive_length=64)),
        (
            "81 80 08 05 02 ff ff 06 02 00 00",
            LinkParameters(transmit_length=2030, receive_length=128),
        ),
        (
            "81 80 06 07 01 09 08 01 00",
            LinkParameters(
                transmit_length=128, receive_length=128, transmit_window=7, receive_window=1
            ),
        ),
        ("81 80 03 42 01 09", LinkParameters()),  # unknown ones are passed over
    ],
)
def test_parameters_have_defaults_and_stay_in_their_range(
    text: str, expected: LinkParameters
) -> None:
    assert parse_parameters(bytes.fromhex(text)) == expected


def test_two_ends_agree_on_what_both_can_do() -> None:
    client, server = (
        LinkParameters(
            transmit_length=1024, receive_length=512, transmit_window=7, receive_window=3
        ),
        LinkParameters(
            transmit_length=128, receive_length=2030, transmit_window=2, receive_window=7
        ),
    )
    assert client.meet(server) == LinkParameters(
        transmit_length=1024, receive_length=128, transmit_window=7, receive_window=2
    )
    assert server.meet(client) == LinkParameters(
        transmit_length=128, receive_length=1024, transmit_window=2, receive_window=7
    )
    assert parse_parameters(client.to_bytes()) == client


ADDRESSES = st.one_of(
    st.builds(HdlcAddress.server, st.integers(0, 127)),
    st.builds(HdlcAddress.server, st.integers(0, 127), st.integers(0, 127)),
    st.builds(HdlcAddress.server, st.integers(0, 0x3FFF), st.integers(0, 0x3FFF), st.just(4)),
)


@st.composite
def any_frame(draw: st.DrawFn) -> HdlcFrame:
    kind = draw(st.sampled_from(FrameKind))
    seq = st.integers(0, 7)
    has_receive_seq = isinstance(kind.value, str)
    return HdlcFrame(
        destination=draw(ADDRESSES),
        source=draw(ADDRESSES),
        kind=kind,
        poll=draw(st.booleans()),
        send_seq=draw(seq) if kind is FrameKind.INFORMATION else 0,
        receive_seq=draw(seq) if has_receive_seq else 0,
        information=draw(st.binary(max_size=200) | st.just(b"\x7e" * 50)),
        segmented=draw(st.booleans()),
    )


@given(any_frame())
def test_a_frame_is_read_as_it_was_written(frame: HdlcFrame) -> None:
    assert frames(frame.to_bytes()) == [frame]


@given(st.lists(any_frame(), min_size=1, max_size=5), st.data())
def test_frames_arrive_in_any_portions_with_one_or_two_flags_between(
    sent: list[HdlcFrame], data: st.DataObject
) -> None:
    stream = bytearray(sent[0].to_bytes())
    for frame in sent[1:]:
        stream += frame.to_bytes()[data.draw(st.integers(0, 1)) :]
    reader, found, at = FrameReader(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, 40))
        found += reader.feed(bytes(stream[at : at + size]))
        at += size
    assert found == sent
    assert reader.skipped == 0


def test_a_frame_arrives_byte_by_byte() -> None:
    reader = FrameReader()
    found = [frame for byte in AARQ for frame in reader.feed(bytes([byte]))]
    assert len(found) == 1


@given(st.binary(max_size=300), any_frame())
def test_noise_before_a_frame_costs_at_most_a_silence(noise: bytes, frame: HdlcFrame) -> None:
    reader = FrameReader()
    found = list(reader.feed(noise + frame.to_bytes()))
    found += reader.flush()
    assert found[-1:] == [frame]


@given(any_frame(), st.data())
def test_a_damaged_byte_is_noticed(frame: HdlcFrame, data: st.DataObject) -> None:
    message = bytearray(frame.to_bytes())
    at = data.draw(st.integers(1, len(message) - 2))
    message[at] ^= data.draw(st.integers(1, 255))
    reader = FrameReader()
    found = list(reader.feed(bytes(message))) + list(reader.flush())
    assert frame not in found


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_skipped(noise: bytes) -> None:
    reader = FrameReader()
    list(reader.feed(noise))
    list(reader.flush())
    assert 0 <= reader.skipped <= len(noise)


def test_a_frame_too_long_for_its_length_field_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="at most 2047"):
        HdlcFrame(
            destination=SERVER, source=CLIENT, kind=FrameKind.INFORMATION, information=bytes(2040)
        ).to_bytes()
