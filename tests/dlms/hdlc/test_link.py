"""Both ends of an HDLC link: a table of exchanges, and messages over a line that loses frames."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_dlms.errors import LinkError, SequenceError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink, LinkState
from gridtokenx_dlms.hdlc.events import Busy, Connected, Disconnected, Message, Unnumbered
from gridtokenx_dlms.hdlc.frame import FrameKind, FrameReader, HdlcFrame
from gridtokenx_dlms.hdlc.parameters import LinkParameters
from gridtokenx_dlms.hdlc.server_link import ServerLink

CLIENT = HdlcAddress.client(0x10)
SERVER = HdlcAddress.server(1, 17)
SMALL = LinkParameters(transmit_length=32, receive_length=32, transmit_window=1, receive_window=1)
WIDE = LinkParameters(transmit_length=32, receive_length=32, transmit_window=3, receive_window=3)
Line = Callable[[bytes], bytes]


def perfect(data: bytes) -> bytes:
    return data


class Pair:
    """A client and a server that echoes each message with an equals sign before it."""

    def __init__(self, client: LinkParameters = SMALL, server: LinkParameters = SMALL) -> None:
        self.client = ClientLink(CLIENT, SERVER, client)
        self.server = ServerLink(SERVER, CLIENT, server)
        self.asked: list[bytes] = []
        self.frames: list[FrameKind] = []
        self._heard = FrameReader()

    def exchange(self, up: Line = perfect, down: Line = perfect) -> list[object]:
        """Carry bytes both ways until neither end has more to say."""
        events: list[object] = []
        while data := self.client.data_to_send():
            for frame in self._heard.feed(up(data)):
                self.frames.append(frame.kind)
                for event in self.server.receive(frame):
                    if isinstance(event, Message):
                        self.asked.append(event.message)
                        self.server.send(b"=" + event.message)
            events += self.client.receive(down(self.server.data_to_send()))
        return events

    def connect(self) -> None:
        self.client.connect()
        assert isinstance(self.exchange()[0], Connected)


@pytest.mark.parametrize(
    "parameters",
    [
        SMALL,
        WIDE,
        LinkParameters(
            transmit_length=2030, receive_length=2030, transmit_window=7, receive_window=7
        ),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 97, 1000])
def test_a_message_goes_there_and_its_reply_comes_back(
    parameters: LinkParameters, size: int
) -> None:
    pair = Pair(parameters, parameters)
    pair.connect()
    for round_number in range(10):  # the numbers of frames go round
        message = bytes((round_number,)) * size
        pair.client.send(message)
        assert pair.exchange() == [Message(b"=" + message)]
        assert pair.asked.pop() == message


def test_the_smaller_of_two_lengths_is_used() -> None:
    pair = Pair(
        LinkParameters(
            transmit_length=1024, receive_length=64, transmit_window=1, receive_window=1
        ),
        LinkParameters(
            transmit_length=128, receive_length=256, transmit_window=1, receive_window=1
        ),
    )
    pair.client.connect()
    (connected,) = pair.exchange()
    assert connected == Connected(
        LinkParameters(transmit_length=256, receive_length=64, transmit_window=1, receive_window=1)
    )
    assert pair.server.parameters == LinkParameters(
        transmit_length=64, receive_length=256, transmit_window=1, receive_window=1
    )


def test_a_link_is_closed_by_disc_and_once_closed_answers_dm() -> None:
    pair = Pair()
    pair.connect()
    pair.client.disconnect()
    assert pair.exchange() == [Disconnected(asked=True)]
    assert (pair.client.state, pair.server.state) == (LinkState.CLOSED, LinkState.CLOSED)
    pair.client.disconnect()
    assert pair.exchange() == [Disconnected(asked=True)]


def test_a_server_that_lost_power_says_dm_and_the_client_knows() -> None:
    pair = Pair()
    pair.connect()
    pair.server = ServerLink(SERVER, CLIENT, SMALL)
    pair.client.send(b"are you there?")
    assert pair.exchange() == [Disconnected(asked=False)]
    pair.connect()


def test_a_busy_server_is_polled_until_it_has_a_reply() -> None:
    pair = Pair()
    pair.connect()
    pair.server.is_busy = True
    pair.client.send(b"later")
    assert pair.exchange() == [Busy()]
    pair.client.poll()
    assert pair.exchange() == [Busy()]
    pair.server.is_busy = False
    pair.client.poll()
    assert pair.exchange() == [Message(b"=later")]
    assert pair.asked == [b"later"]


def test_a_slow_server_answers_when_it_is_asked_again() -> None:
    pair = Pair()
    pair.connect()
    pair.client.send(b"slow")
    for frame in FrameReader().feed(pair.client.data_to_send()):
        assert list(pair.server.receive(frame)) == [Message(b"slow")]
    pair.client.repeat()
    for frame in FrameReader().feed(pair.client.data_to_send()):
        assert list(pair.server.receive(frame)) == []
    assert list(pair.client.receive(pair.server.data_to_send())) == [Busy()]
    pair.server.send(b"at last")
    assert pair.server.data_to_send() == b"", "the client has the turn"
    pair.client.poll()
    assert pair.exchange() == [Message(b"at last")]


def test_an_unnumbered_message_comes_between_others() -> None:
    pair = Pair()
    pair.connect()
    pair.server.notify(b"push")
    assert list(pair.client.receive(pair.server.data_to_send())) == [Unnumbered(b"push")]


def test_a_rejected_frame_ends_the_link() -> None:
    pair = Pair()
    pair.connect()
    frame = HdlcFrame(destination=CLIENT, source=SERVER, kind=FrameKind.FRMR)
    with pytest.raises(LinkError, match="FRMR"):
        list(pair.client.receive(frame.to_bytes()))
    assert pair.client.state is LinkState.CLOSED


def test_what_is_meant_for_others_is_passed_over() -> None:
    pair = Pair()
    pair.connect()
    pair.client.send(b"question")
    own = pair.client.data_to_send()
    assert list(pair.client.receive(own)) == [], "the echo of an optical head"
    stranger = HdlcFrame(
        destination=HdlcAddress.client(0x11),
        source=SERVER,
        kind=FrameKind.INFORMATION,
        information=b"x",
    )
    assert list(pair.client.receive(stranger.to_bytes())) == []


def test_nothing_is_said_out_of_turn() -> None:
    pair = Pair()
    with pytest.raises(SequenceError):
        pair.client.send(b"too early")
    with pytest.raises(SequenceError):
        pair.server.send(b"nobody asked")
    pair.connect()
    pair.client.send(b"one")
    with pytest.raises(SequenceError):
        pair.client.send(b"two")


@pytest.mark.parametrize("parameters", [SMALL, WIDE])
@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(st.binary(max_size=200), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
)
def test_messages_pass_once_and_whole_over_a_line_that_loses_and_damages(
    parameters: LinkParameters, messages: list[bytes], seed: int
) -> None:
    pair = Pair(parameters, parameters)
    pair.connect()
    luck = random.Random(seed)

    def lossy(data: bytes) -> bytes:
        chance = luck.random()
        if chance < 0.2:
            return b""
        if data and chance < 0.4:
            at = luck.randrange(len(data))
            return data[:at] + bytes((data[at] ^ 0x20,)) + data[at + 1 :]
        return data

    for message in messages:
        pair.client.send(message)
        got: list[object] = []
        for _ in range(300):
            got += pair.exchange(lossy, lossy)
            if Message(b"=" + message) in got:
                break
            list(pair.client.silence())
            list(pair._heard.flush())
            pair.client.repeat()
        assert [event for event in got if isinstance(event, Message)] == [Message(b"=" + message)]
    assert pair.asked == messages
