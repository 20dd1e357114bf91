"""A client and a server of ours, message by message: every mechanism and protection."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import suppress
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms import data
from gridtokenx_dlms.acse import Aarq, AssociationResult, ContextName, Mechanism, parse_aare
from gridtokenx_dlms.client import Authentication, ClientAssociation
from gridtokenx_dlms.data import Data
from gridtokenx_dlms.errors import (
    AccessRefusedError,
    AssociationRefusedError,
    DlmsError,
    MalformedError,
    SecurityError,
    SequenceError,
    ServiceRefusedError,
)
from gridtokenx_dlms.obis import Obis
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.server import ClientTerms, ServerAssociation
from gridtokenx_dlms.session import Ciphering
from gridtokenx_dlms.xdlms.attribute import AccessResult, Attribute, Selection
from gridtokenx_dlms.xdlms.initiate import SPOKEN, Conformance, InitiateRequest
from gridtokenx_dlms.xdlms.refusal import parse_confirmed_service_error

T = TypeVar("T")

KEYS = Keys(encryption=bytes(range(16)), authentication=bytes(range(0xD0, 0xE0)))
OTHER_KEYS = Keys(encryption=bytes(16), authentication=bytes(range(0xD0, 0xE0)))
CLIENT_TITLE = b"GTX\0\0\0\0\1"
METER_TITLE = b"SIM\0\0\0\0\2"
IMPORT = Attribute(3, Obis(1, 0, 1, 8, 0), 2)
LONG = Attribute(7, Obis(1, 0, 99, 1, 0), 2)
SECRET_CLOCK = Attribute(8, Obis(0, 0, 1, 0, 0), 2)
ROWS = data.array(
    data.structure(data.double_long_unsigned(n), data.unsigned(8)) for n in range(300)
)


class Meter:
    """Holds three attributes, one of which may be written and called."""

    def __init__(self) -> None:
        self.values: dict[Attribute, Data] = {
            IMPORT: data.double_long_unsigned(12345),
            LONG: ROWS,
            SECRET_CLOCK: data.NULL,
        }

    def get(
        self, client: int, attribute: Attribute, selection: Selection | None
    ) -> Data | AccessResult:
        if selection:
            return data.array(self.values[attribute].items()[: selection.parameters.integer()])
        return self.values.get(attribute, AccessResult.OBJECT_UNDEFINED)

    def set(self, client: int, attribute: Attribute, value: Data) -> AccessResult:
        if attribute != SECRET_CLOCK:
            return AccessResult.READ_WRITE_DENIED
        self.values[attribute] = value
        return AccessResult.SUCCESS

    def act(
        self, client: int, method: Attribute, parameters: Data | None
    ) -> tuple[AccessResult, Data | None]:
        if method.class_id != 8:
            return AccessResult.OBJECT_UNDEFINED, None
        return AccessResult.SUCCESS, parameters


def run(exchange: Generator[bytes, bytes, T], server: ServerAssociation) -> T:
    """Drive a service against a server without a line between them."""
    try:
        request = next(exchange)
        while True:
            request = exchange.send(server.handle(request))
    except StopIteration as done:
        result: T = done.value
        return result


def terms(mechanism: Mechanism, protection: Protection) -> ClientTerms:
    terms = ClientTerms(secret=b"12345678", keys=KEYS, max_pdu_bytes=512)
    return msgspec.structs.replace(terms, mechanism=mechanism, protection=protection)


def serve(of: ClientTerms, meter: Meter | None = None) -> ServerAssociation:
    counters = itertools.count(1)
    return ServerAssociation(
        1, of, meter or Meter(), METER_TITLE, counters.__next__, lambda size: bytes(range(size))
    )


def client(
    mechanism: Mechanism,
    protection: Protection,
    keys: Keys = KEYS,
    secret: bytes = b"12345678",
    **more: object,
) -> ClientAssociation:
    ciphering = Ciphering(keys=keys, title=CLIENT_TITLE, protection=protection, counter=1)
    for name, value in more.items():
        setattr(ciphering, name, value)
    ours = b"challenge of ours"
    authentication = Authentication(mechanism=mechanism, secret=secret, challenge=ours)
    return ClientAssociation(authentication, ciphering, max_pdu_bytes=256)


AUTH, NO = Protection.AUTHENTICATED_ENCRYPTED, Protection.NONE
MECHANISMS = [Mechanism.NONE, Mechanism.LOW, Mechanism.HIGH_GMAC]


@pytest.mark.parametrize("protection", Protection)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_register_a_profile_a_clock_and_a_method_are_reached(
    mechanism: Mechanism, protection: Protection
) -> None:
    server, reader = serve(terms(mechanism, protection)), client(mechanism, protection)
    run(reader.open(), server)
    assert reader.negotiated
    assert run(reader.get(IMPORT), server).integer() == 12345
    assert run(reader.get(LONG), server) == ROWS, "in several blocks"
    first = Selection(2, data.unsigned(3))
    assert run(reader.get(LONG, first), server).items() == ROWS.items()[:3]
    unknown = msgspec.structs.replace(IMPORT, number=9)
    listed = run(reader.get_list([IMPORT, unknown, LONG]), server)
    assert listed == (data.double_long_unsigned(12345), AccessResult.OBJECT_UNDEFINED, ROWS)
    run(reader.set(SECRET_CLOCK, data.unsigned(7)), server)
    assert run(reader.get(SECRET_CLOCK), server) == data.unsigned(7)
    method = Attribute(8, SECRET_CLOCK.obis, 6)
    assert run(reader.action(method, data.integer(0)), server) == data.integer(0)
    with pytest.raises(AccessRefusedError, match="object undefined"):
        run(reader.get(unknown), server)
    with pytest.raises(AccessRefusedError, match="read write denied"):
        run(reader.set(IMPORT, data.NULL), server)
    run(reader.release(), server)
    with pytest.raises(SequenceError):
        run(reader.get(IMPORT), server)


DEDICATED = {"dedicated_key": bytes(range(16, 32))}


@pytest.mark.parametrize(
    "more", [{"is_general": True}, DEDICATED, {"is_general": True, **DEDICATED}]
)
@pytest.mark.parametrize("protection", [Protection.AUTHENTICATED_ENCRYPTED, Protection.ENCRYPTED])
def test_general_ciphering_and_a_dedicated_key_are_spoken(
    protection: Protection, more: dict[str, object]
) -> None:
    server = serve(terms(Mechanism.HIGH_GMAC, protection))
    reader = client(Mechanism.HIGH_GMAC, protection, **more)
    run(reader.open(), server)
    assert run(reader.get(LONG), server) == ROWS


def test_counters_under_a_dedicated_key_may_begin_anew_and_come_once() -> None:
    server = serve(terms(Mechanism.NONE, AUTH))
    reader = client(Mechanism.NONE, AUTH, counter=5000, **DEDICATED)
    run(reader.open(), server)
    assert reader._ciphering
    reader._ciphering.counter = 0
    exchange = reader.get(IMPORT)
    request = next(exchange)
    assert request[0] == 0xD0
    assert server.handle(request)[0] == 0xD4
    assert server.handle(request).hex() == "d80105", "deciphering error"


@pytest.mark.parametrize(
    ("asked", "wanted", "error"),
    [
        (client(Mechanism.LOW, Protection.NONE, secret=b"wrong"), (1, 0), AssociationRefusedError),
        (client(Mechanism.NONE, Protection.NONE), (1, 0), AssociationRefusedError),
        (client(Mechanism.LOW, Protection.NONE), (5, 0), AssociationRefusedError),
        (client(Mechanism.HIGH_GMAC, Protection.NONE, OTHER_KEYS), (5, 0), AssociationRefusedError),
        (client(Mechanism.NONE, AUTH, OTHER_KEYS), (0, 0x30), AssociationRefusedError),
        (client(Mechanism.NONE, Protection.NONE), (0, 0x30), AssociationRefusedError),
        (client(Mechanism.NONE, AUTH), (0, 0), AssociationRefusedError),
        (client(Mechanism.NONE, Protection.ENCRYPTED), (0, 0x30), AssociationRefusedError),
        (client(Mechanism.NONE, AUTH, peer_title=b"another!"), (0, 0x30), SecurityError),
        (client(Mechanism.NONE, AUTH, title=METER_TITLE), (0, 0x30), AssociationRefusedError),
        (client(Mechanism.HIGH_GMAC, NO, title=b"short"), (5, 0), AssociationRefusedError),
    ],
)
def test_who_does_not_show_what_is_asked_for_gets_no_association(
    asked: ClientAssociation, wanted: tuple[int, int], error: type[DlmsError]
) -> None:
    server = serve(terms(Mechanism(wanted[0]), Protection(wanted[1])))
    with pytest.raises(error):
        run(asked.open(), server)
    assert not asked.is_open
    with pytest.raises(SequenceError):
        run(asked.get(IMPORT), server)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 5}, "DLMS version too low"),
        ({"conformance": Conformance.READ | Conformance.WRITE}, "incompatible conformance"),
        ({"max_pdu_bytes": 63}, "PDU size too short"),
    ],
)
def test_ends_that_have_nothing_in_common_part_with_a_reason(
    changes: dict[str, int], reason: str
) -> None:
    request = InitiateRequest(conformance=SPOKEN, max_pdu_bytes=256)
    asked = msgspec.structs.replace(request, **changes)
    aarq = Aarq(context=ContextName.LOGICAL_NAMES, user_information=asked.to_bytes())
    server = serve(ClientTerms())
    aare = parse_aare(server.handle(aarq.to_bytes()))
    assert aare.result is AssociationResult.REJECTED_PERMANENT
    assert str(parse_confirmed_service_error(aare.user_information)) == f"initiate failed: {reason}"
    assert not server.is_open


@pytest.mark.parametrize(
    ("agreed", "request_hex", "reply_hex"),
    [
        (Conformance.GET, "c001c1 0003 0100010800ff 02 00", "c401c100 0600003039"),
        (Conformance.SET, "c001c1 0003 0100010800ff 02 00", "d80202"),
        (Conformance.GET, "c101c1 0008 0000010000ff 02 00 1107", "d80202"),
        (Conformance.GET, "c301c1 0008 0000010000ff 06 01 0f00", "d80202"),
        (Conformance.GET, "c003c1 01 0003 0100010800ff 02 00", "d80202"),
        (Conformance.GET, "c001c1 0007 0100630100ff 02 00", "c401c1010e"),  # it needs blocks
    ],
)
def test_only_what_was_agreed_is_served(
    agreed: Conformance, request_hex: str, reply_hex: str
) -> None:
    server = serve(ClientTerms())
    run(ClientAssociation(conformance=agreed, max_pdu_bytes=256).open(), server)
    assert server.handle(bytes.fromhex(request_hex)) == bytes.fromhex(reply_hex)


def test_without_an_association_nothing_is_told_or_done() -> None:
    meter = Meter()
    server = serve(terms(Mechanism.HIGH_GMAC, Protection.NONE), meter)
    asked = [bytes.fromhex(f"{tag}01c100080000010000ff0200") for tag in ("c0", "c1", "c3")]
    before = dict(meter.values)
    assert {server.handle(request).hex() for request in asked} == {"d80101"}
    reader = client(Mechanism.HIGH_GMAC, Protection.NONE)
    opening = reader.open()
    server.handle(next(opening))  # opened, but the challenge is not answered yet
    assert {server.handle(request).hex() for request in asked} == {"d80101"}
    assert meter.values == before


def test_who_answers_the_challenge_wrongly_has_to_begin_anew() -> None:
    server = serve(terms(Mechanism.HIGH_GMAC, AUTH))
    opening = client(Mechanism.HIGH_GMAC, AUTH).open()
    aare = server.handle(next(opening))
    server._challenges = (server._challenges[0], b"another one of ours")  # type: ignore[index]
    with pytest.raises(AssociationRefusedError, match="does not accept our keys"):
        opening.send(server.handle(opening.send(aare)))
    assert not server.is_open
    assert server.handle(b"\xcb\x00").hex() == "d80101"


def test_a_password_is_compared_in_a_time_that_does_not_tell_how_much_was_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return False

    monkeypatch.setattr("gridtokenx_dlms.server.hmac.compare_digest", compare)
    with pytest.raises(AssociationRefusedError, match="authentication failure"):
        run(client(Mechanism.LOW, Protection.NONE).open(), serve(terms(Mechanism.LOW, NO)))
    assert compared == [(b"12345678", b"12345678")]


def test_a_meter_that_leaves_out_class_and_priority_is_understood() -> None:
    server, reader = serve(ClientTerms()), ClientAssociation()
    run(reader.open(), server)
    exchange = reader.get(IMPORT)
    next(exchange)
    with pytest.raises(StopIteration) as done:
        exchange.send(bytes.fromhex("c40101000600003039"))
    assert done.value.value == data.double_long_unsigned(12345)


def test_blocks_that_bring_nothing_do_not_go_on_for_ever() -> None:
    server, reader = serve(ClientTerms()), ClientAssociation()
    run(reader.open(), server)
    exchange = reader.get(LONG)
    next(exchange)
    with pytest.raises(MalformedError, match="a block with a part of the value"):
        exchange.send(bytes.fromhex("c402c100000000010000"))


def test_a_list_may_have_selections() -> None:
    server, reader = serve(ClientTerms()), ClientAssociation()
    run(reader.open(), server)
    chosen = {LONG: Selection(2, data.unsigned(2))}
    assert run(reader.get_list([IMPORT, LONG], chosen), server) == (
        data.double_long_unsigned(12345),
        data.array(ROWS.items()[:2]),
    )


def test_a_request_heard_before_is_refused() -> None:
    server, reader = serve(terms(Mechanism.HIGH_GMAC, AUTH)), client(Mechanism.HIGH_GMAC, AUTH)
    run(reader.open(), server)
    exchange = reader.get(IMPORT)
    request = next(exchange)
    assert server.handle(request)[0] == 0xCC
    assert server.handle(request).hex() == "d80105", "deciphering error"


def test_a_counter_stays_used_over_associations() -> None:
    server = serve(terms(Mechanism.HIGH_GMAC, AUTH))
    run(client(Mechanism.HIGH_GMAC, AUTH).open(), server)
    with pytest.raises(AssociationRefusedError):
        run(client(Mechanism.HIGH_GMAC, AUTH).open(), server)
    run(client(Mechanism.HIGH_GMAC, AUTH, counter=100).open(), server)


def test_a_reply_heard_before_is_refused() -> None:
    server, reader = serve(terms(Mechanism.HIGH_GMAC, AUTH)), client(Mechanism.HIGH_GMAC, AUTH)
    run(reader.open(), server)
    first = reader.get(IMPORT)
    reply = server.handle(next(first))
    with pytest.raises(StopIteration):
        first.send(reply)
    again = reader.get(IMPORT)
    next(again)
    with pytest.raises(SecurityError, match="replay"):
        again.send(reply)


@pytest.mark.parametrize("at", range(2, 40))
def test_a_damaged_message_is_known_by_its_tag(at: int) -> None:
    server, reader = serve(terms(Mechanism.HIGH_GMAC, AUTH)), client(Mechanism.HIGH_GMAC, AUTH)
    run(reader.open(), server)
    exchange = reader.get(IMPORT)
    reply = bytearray(server.handle(next(exchange)))
    if at < len(reply):
        reply[at] ^= 1
        with pytest.raises(DlmsError):
            exchange.send(bytes(reply))


def test_a_meter_that_did_not_prove_itself_is_not_believed() -> None:
    server, reader = serve(terms(Mechanism.HIGH_GMAC, AUTH)), client(Mechanism.HIGH_GMAC, AUTH)
    exchange = reader.open()
    proof = exchange.send(server.handle(next(exchange)))
    server._challenges = (b"another challenge", server._challenges[1])  # type: ignore[index]
    with pytest.raises(SecurityError):
        exchange.send(server.handle(proof))
    assert not reader.is_open


def test_a_reply_in_the_open_is_refused_where_ciphering_was_agreed() -> None:
    server, reader = serve(terms(Mechanism.NONE, AUTH)), client(Mechanism.NONE, AUTH)
    run(reader.open(), server)
    exchange = reader.get(IMPORT)
    next(exchange)
    with pytest.raises(SecurityError, match="in the open"):
        exchange.send(bytes.fromhex("c401c1000600003039"))
    exchange = reader.get(IMPORT)
    next(exchange)
    with pytest.raises(ServiceRefusedError, match="deciphering"):
        exchange.send(bytes.fromhex("d80105"))


@pytest.mark.parametrize("protection", Protection)
@given(message=st.binary(max_size=80))
def test_a_server_answers_anything_and_never_fails(protection: Protection, message: bytes) -> None:
    server = serve(terms(Mechanism.NONE, protection))
    run(client(Mechanism.NONE, protection).open(), server)
    for tag in (b"", b"\x60", b"\xc0\x01\xc1", b"\xc1\x01\xc1", b"\xc3\x01\xc1", b"\xdb", b"\xc8"):
        assert server.handle(tag + message)


@pytest.mark.parametrize("protection", Protection)
@given(
    reply=st.binary(max_size=80),
    tag=st.sampled_from([b"", b"\xc4\x01\xc1", b"\xc4\x02\xc1", b"\xcc"]),
)
def test_a_client_survives_any_reply(protection: Protection, reply: bytes, tag: bytes) -> None:
    server, reader = serve(terms(Mechanism.NONE, protection)), client(Mechanism.NONE, protection)
    run(reader.open(), server)
    exchange = reader.get(IMPORT)
    next(exchange)
    with suppress(DlmsError, StopIteration):
        exchange.send(tag + reply)
