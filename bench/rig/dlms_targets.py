"""What `bench.fuzz_dlms` throws bytes at: everything that a peer's bytes reach.

Each target takes any bytes and raises nothing but what is a bug.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from gridtokenx_dlms import axdr, data, mode_e
from gridtokenx_dlms.acse import (
    AARE_TAG,
    RLRE_TAG,
    RLRQ_TAG,
    Mechanism,
    parse_aare,
    parse_aarq,
    parse_release,
)
from gridtokenx_dlms.client import Authentication, ClientAssociation
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.errors import DlmsError
from gridtokenx_dlms.hdlc.address import HdlcAddress
from gridtokenx_dlms.hdlc.client_link import ClientLink
from gridtokenx_dlms.hdlc.events import Message
from gridtokenx_dlms.hdlc.frame import FrameKind, FrameReader, HdlcFrame
from gridtokenx_dlms.hdlc.llc import LLC_REQUEST
from gridtokenx_dlms.hdlc.parameters import LinkParameters, parse_parameters
from gridtokenx_dlms.hdlc.server_link import ServerLink
from gridtokenx_dlms.hdlc.station import Station
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.objects.clock import ClockObject
from gridtokenx_dlms.objects.device import ObjectModel
from gridtokenx_dlms.objects.directory import AssociationLn, SapAssignment, SecuritySetup
from gridtokenx_dlms.objects.profile_generic import (
    CLOCK_COLUMN,
    LOAD_PROFILE,
    ProfileGeneric,
    Row,
    clock_value,
)
from gridtokenx_dlms.objects.registers import UNIT_WH, DataObject, Register
from gridtokenx_dlms.objects.selection import CaptureObject
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.server import ClientTerms, ServerAssociation
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.wrapper import WrapperReader, parse_datagram
from gridtokenx_dlms.xdlms import (
    action,
    attribute,
    ciphered_message,
    general_block,
    get,
    notification,
    refusal,
)
from gridtokenx_dlms.xdlms import set as set_service
from gridtokenx_dlms.xdlms.attribute import Attribute
from gridtokenx_dlms.xdlms.initiate import parse_initiate_request, parse_initiate_response

KEYS = Keys(encryption=bytes(range(16)), authentication=bytes(range(0xD0, 0xE0)))
CLIENT, SERVER = HdlcAddress.client(16), HdlcAddress.server(1, 17)
CLIENT_TITLE, METER_TITLE = b"FUZ\0\0\0\0\1", b"SIM\0\0\0\0\2"
IMPORT = Attribute(3, Obis(1, 0, 1, 8, 0), 2)
TERMS = [
    ClientTerms(
        mechanism=mechanism, secret=b"12345678", keys=KEYS, protection=protection, max_pdu_bytes=512
    )
    for mechanism in (Mechanism.NONE, Mechanism.LOW, Mechanism.HIGH_GMAC)
    for protection in Protection
]


def _model() -> ObjectModel:
    column = CaptureObject(class_id=3, obis=IMPORT.obis, attribute=2)
    rows = [Row(900_000 * n, (clock_value(900_000 * n, 0), data.unsigned(n))) for n in range(8)]
    model = ObjectModel(
        [
            Register(IMPORT.obis, lambda: data.unsigned(7), 0, UNIT_WH),
            DataObject(Obis(0, 0, 96, 1, 0), lambda: data.octet_string(b"1")),
            ClockObject(lambda: 0, lambda _: None),
            SapAssignment({1: b"SIM"}),
            SecuritySetup(Protection.NONE, CLIENT_TITLE, METER_TITLE),
            ProfileGeneric(
                LOAD_PROFILE,
                [CLOCK_COLUMN, column],
                900,
                100,
                lambda first, last: [row for row in rows if first <= row.time_ms <= last],
            ),
        ],
        may_write=True,
    )
    model.add(AssociationLn(model.objects, 1, 1, 0, 1, 512, may_write=True))
    return model


MODEL = _model()


def _server(terms: ClientTerms) -> ServerAssociation:
    counters = itertools.count(1)
    return ServerAssociation(
        1, terms, MODEL, METER_TITLE, counters.__next__, lambda size: bytes(range(size))
    )


def _client(terms: ClientTerms) -> tuple[ClientAssociation, Ciphering]:
    ciphering = Ciphering(keys=KEYS, title=CLIENT_TITLE, protection=terms.protection, counter=1)
    proof = Authentication(
        mechanism=terms.mechanism, secret=terms.secret, challenge=b"challenge of ours"
    )
    return ClientAssociation(proof, ciphering, max_pdu_bytes=256), ciphering


def _drive(exchange: Generator[bytes, bytes, Any], server: ServerAssociation) -> None:
    with suppress(StopIteration):
        request = next(exchange)
        while True:
            request = exchange.send(server.handle(request))


def _cut(content: bytes) -> list[bytes]:
    """Return pieces, each of which stands after a byte that says how long it is."""
    pieces = []
    while content:
        size = content[0] % 64 + 1
        pieces.append(content[1 : 1 + size])
        content = content[1 + size :]
    return pieces


# --- targets ------------------------------------------------------------------------------------


def raw_line(content: bytes) -> None:
    """Feed any bytes, in pieces, to both ends of a line; the reader keeps none of them for ever."""
    reader, link = FrameReader(), ClientLink(CLIENT, SERVER)
    link.connect()
    station = Station(17, lambda *_: _server(TERMS[0]))
    for piece in _cut(content):
        for frame in reader.feed(piece):
            station.receive(frame)
        with suppress(DlmsError):
            list(link.receive(piece))
    list(reader.flush())
    assert not reader.is_inside
    with suppress(DlmsError):
        list(link.silence())


_KINDS = list(FrameKind)


def _frames(content: bytes, source: HdlcAddress, target: HdlcAddress) -> list[HdlcFrame]:
    """Return right frames of any kind with any content."""
    return [
        HdlcFrame(
            destination=target,
            source=source,
            kind=_KINDS[piece[0] % len(_KINDS)],
            poll=bool(piece[0] & 0x80),
            send_seq=piece[1] & 7,
            receive_seq=piece[1] >> 3 & 7,
            information=piece[2:],
            segmented=bool(piece[1] & 0x80),
        )
        for piece in _cut(content)
        if len(piece) >= 2
    ]


def server_frames(content: bytes) -> None:
    station = Station(
        17,
        lambda *_: _server(TERMS[0]),
        LinkParameters(transmit_length=64, receive_length=64, transmit_window=3, receive_window=3),
    )
    link = ServerLink(SERVER, CLIENT)
    for frame in _frames(content, CLIENT, SERVER):
        station.receive(next(FrameReader().feed(frame.to_bytes())))
        with suppress(DlmsError):
            for event in link.receive(frame):
                if isinstance(event, Message):
                    link.send(event.message)
        link.data_to_send()


def client_frames(content: bytes) -> None:
    link = ClientLink(
        CLIENT,
        SERVER,
        LinkParameters(transmit_length=64, receive_length=64, transmit_window=3, receive_window=3),
    )
    link.connect()
    for frame in _frames(content, SERVER, CLIENT):
        with suppress(DlmsError):
            list(link.receive(frame.to_bytes()))
        link.data_to_send()
        with suppress(DlmsError):
            link.send(LLC_REQUEST + content)
        link.repeat()


def wrapper(content: bytes) -> None:
    reader = WrapperReader()
    with suppress(DlmsError):
        for piece in _cut(content):
            list(reader.feed(piece))
    with suppress(DlmsError):
        parse_datagram(content)


def values(content: bytes) -> None:
    """Check that what is read is written and read again as the same."""
    with suppress(DlmsError):
        value = axdr.decode(content)
        if value.type is not data.DataType.COMPACT_ARRAY or value.value:
            with suppress(ValueError):  # an array of mixed types has no compact form
                again = axdr.decode(data.encode(value))
                assert repr(again) == repr(value)


_PARSERS: list[Callable[[bytes], object]] = [
    parse_aarq,
    parse_aare,
    lambda message: parse_release(message, RLRQ_TAG),
    lambda message: parse_release(message, RLRE_TAG),
    parse_initiate_request,
    parse_initiate_response,
    get.parse_get_request,
    get.parse_get_response,
    get.parse_values,
    set_service.parse_set_request,
    set_service.parse_set_response,
    action.parse_action_request,
    action.parse_action_response,
    notification.parse_data_notification,
    refusal.parse_exception_response,
    refusal.parse_confirmed_service_error,
    ciphered_message.parse_ciphered,
    parse_parameters,
    HdlcAddress.from_bytes,
    lambda message: attribute.parse_attribute(axdr.Reader(message)),
    mode_e.parse_identification,
    mode_e.parse_option_select,
    mode_e.parse_request,
    mode_e.without_parity,
    general_block.BlockAssembler().receive,
]


def messages(content: bytes) -> None:
    if content:
        with suppress(DlmsError):
            _PARSERS[content[0] % len(_PARSERS)](content[1:])


def server(content: bytes) -> None:
    """Send messages to a meter, with and without an association, in the open and rightly
    ciphered.
    """
    if not content:
        return
    terms = TERMS[content[0] % len(TERMS)]
    association = _server(terms)
    client, ciphering = _client(terms)
    ciphering.is_general = bool(content[0] & 0x40)
    ciphering.dedicated_key = bytes(range(16, 32)) if content[0] & 0x20 else b""
    if content[0] & 0x80:
        _drive(client.open(), association)
    for piece in _cut(content[1:]):
        message = piece
        if piece and terms.protection is not Protection.NONE and piece[0] & 1 == 0:
            with suppress(ValueError):  # no service that can be ciphered
                message = ciphering.cipher(piece)
        assert association.handle(message)


def client(content: bytes) -> None:
    """Send replies to a client that opens, reads, writes and calls."""
    if len(content) < 2:
        return
    terms = TERMS[content[0] % len(TERMS)]
    association, _ = _client(terms)
    peer = Ciphering(
        keys=KEYS,
        title=METER_TITLE,
        protection=terms.protection,
        counter=1000,
        peer_title=CLIENT_TITLE,
    )
    if content[1] & 1:
        _drive(association.open(), _server(terms))
    else:
        opening = association.open()
        next(opening)
        with suppress(DlmsError, StopIteration):
            for piece in _cut(content[2:]):
                opening.send(bytes((AARE_TAG,)) + piece if content[1] & 2 else piece)
        return
    for piece in _cut(content[2:]):
        exchange: Generator[bytes, bytes, Any] = [
            lambda: association.get(IMPORT),
            lambda: association.get_list([IMPORT, IMPORT]),
            lambda: association.set(IMPORT, data.unsigned(1)),
            lambda: association.action(IMPORT, Data(data.DataType.NULL)),
        ][content[1] >> 1 & 3]()
        reply = piece
        if piece and terms.protection is not Protection.NONE:
            with suppress(ValueError):
                reply = peer.cipher(piece)
        with suppress(DlmsError, StopIteration):
            next(exchange)
            exchange.send(reply)
        exchange.close()


def selection(content: bytes) -> None:
    """Send any selective access to a profile, and any value for a clock."""
    if len(content) < 2:
        return
    with suppress(DlmsError):
        parameters = axdr.decode(content[1:])
        asked = attribute.Selection(content[0] % 4, parameters)
        MODEL.get(1, Attribute(7, LOAD_PROFILE, 2), asked)
        MODEL.set(1, Attribute(8, Obis(0, 0, 1, 0, 0), 2), parameters)
        MODEL.act(1, Attribute(8, Obis(0, 0, 1, 0, 0), 6), parameters)


TARGETS: list[Callable[[bytes], None]] = [
    raw_line,
    server_frames,
    client_frames,
    wrapper,
    values,
    messages,
    server,
    client,
    selection,
]


def one_input(content: bytes) -> None:
    """Run one input. Raises what should not have come out."""
    if content:
        TARGETS[content[0] % len(TARGETS)](content[1:])
