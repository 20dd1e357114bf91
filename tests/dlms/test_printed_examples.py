"""Messages printed in the standard and by the DLMS User Association, read and written again."""

from __future__ import annotations

import pytest

from gridtokenx_dlms import security
from gridtokenx_dlms.acse import (
    Aare,
    Aarq,
    AssociationResult,
    ContextName,
    Diagnostic,
    Mechanism,
    parse_aare,
    parse_aarq,
)
from gridtokenx_dlms.security import Keys, Protection
from gridtokenx_dlms.xdlms.initiate import (
    Conformance,
    parse_initiate_request,
    parse_initiate_response,
)

# Green Book (DLMS UA 1000-2), the example of "Application layer security": keys, titles, counters.
KEYS = Keys(
    encryption=bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
    authentication=bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
)
TITLE = bytes.fromhex("4D4D4D0000BC614E")
COUNTER = 0x01234567
GET_CLOCK = bytes.fromhex("C0010000080000010000FF0200")


@pytest.mark.parametrize(
    ("protection", "text"),
    [
        (
            Protection.AUTHENTICATED,
            "1001234567C0010000080000010000FF020006725D910F9221D263877516",
        ),
        (Protection.ENCRYPTED, "2001234567411312FF935A47566827C467BC"),
        (
            Protection.AUTHENTICATED_ENCRYPTED,
            "3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B",
        ),
    ],
)
def test_a_request_is_protected_as_the_green_book_prints_it(
    protection: Protection, text: str
) -> None:
    printed = bytes.fromhex(text)
    assert security.protect(GET_CLOCK, KEYS, TITLE, COUNTER, protection) == printed
    opened = security.unprotect(printed, KEYS, TITLE)
    assert (opened.plaintext, opened.protection, opened.counter) == (GET_CLOCK, protection, COUNTER)


def test_a_request_is_protected_as_a_tool_for_the_same_prints_it() -> None:
    # github.com/ric-geek/dlms-encrypt-decrypt-cli, README.md; it prints all 16 bytes of the tag.
    keys = Keys(encryption=b"ENCRYPTIONKEYKEY", authentication=b"AUTHENTICATIONKE")
    printed = bytes.fromhex("3080000001 0DE63F2331A09AA85E8830F5F3 610D47E1E24B14E8A022AEFC")
    asked = bytes.fromhex("C001810001000060010AFF0200")
    how = Protection.AUTHENTICATED_ENCRYPTED
    assert security.protect(asked, keys, b"RICRICRI", 0x80000001, how) == printed


@pytest.mark.parametrize(
    ("challenge", "title", "counter", "text"),
    [
        ("503677524A323146", "4D4D4D0000000001", 1, "10000000011A52FE7DD3E72748973C1E28"),
        ("4B35366956616759", "4D4D4D0000BC614E", COUNTER, "1001234567FE1466AFB3DBCD4F9389E2B7"),
    ],
)
def test_a_challenge_is_answered_as_the_green_book_prints_it(
    challenge: str, title: str, counter: int, text: str
) -> None:
    asked, of = bytes.fromhex(challenge), bytes.fromhex(title)
    assert security.gmac(asked, KEYS, of, counter).hex().upper() == text
    assert security.verify_gmac(bytes.fromhex(text), asked, KEYS, of) == counter


# G. Kmethy (DLMS User Association), "Examples for DLMS/COSEM information exchange".
PUBLIC_AARQ = "601DA109060760857405080101BE10040E01000000065F1F040000301DFFFF"
# Green Book, "AARQ and AARE encoding examples": low level security, and the answer.
LOW_AARQ = (
    "6036A1090607608574050801018A0207808B0760857405080201AC0A80083132333435363738"
    "BE10040E01000000065F1F0400007E1F04B0"
)
AARE = "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F040000501F01F40007"


def test_the_request_of_a_public_client_is_read_and_written() -> None:
    aarq = parse_aarq(bytes.fromhex(PUBLIC_AARQ))
    assert (aarq.context, aarq.mechanism) == (ContextName.LOGICAL_NAMES, Mechanism.NONE)
    initiate = parse_initiate_request(aarq.user_information)
    assert (initiate.version, initiate.max_pdu_bytes) == (6, 0xFFFF)
    assert Conformance.GET in initiate.conformance
    assert aarq.user_information == initiate.to_bytes()
    assert aarq.to_bytes().hex().upper() == PUBLIC_AARQ


def test_the_request_with_a_password_is_read_and_written() -> None:
    aarq = parse_aarq(bytes.fromhex(LOW_AARQ))
    assert (aarq.mechanism, aarq.authentication) == (Mechanism.LOW, b"12345678")
    assert aarq == Aarq(
        context=ContextName.LOGICAL_NAMES,
        user_information=aarq.user_information,
        mechanism=Mechanism.LOW,
        authentication=b"12345678",
    )
    assert aarq.to_bytes().hex().upper() == LOW_AARQ
    assert "12345678" not in repr(aarq)


def test_the_answer_is_read_and_written() -> None:
    aare = parse_aare(bytes.fromhex(AARE))
    assert aare == Aare(
        context=ContextName.LOGICAL_NAMES,
        result=AssociationResult.ACCEPTED,
        diagnostic=Diagnostic.NULL,
        user_information=aare.user_information,
    )
    response = parse_initiate_response(aare.user_information)
    assert (response.max_pdu_bytes, response.vaa) == (500, 7)
    assert response.to_bytes() == aare.user_information
    assert aare.to_bytes().hex().upper() == AARE
