"""One frame and one ack, byte by byte. The tables were written by hand from the documents that
they name, and the bytes signed were checked with `openssl pkeyutl -verify -rawin`."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gridtokenx_wire.ack import Ack, open_ack, seal_ack
from gridtokenx_wire.frame import Frame, frame_hash, open_frame, seal_frame
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.verdict import Reason, Verdict

FRAME = [
    ("d2", "tag 18: COSE_Sign1 (RFC 9052 §4.2)"),
    ("84", "array of 4"),
    ("43 a1 01 32", "protected header, 3 bytes: { 1 (alg): -19 (Ed25519, RFC 9864) }"),
    ("a0", "unprotected header: {}"),
    ("58 c0", "payload: byte string of 192 bytes"),
    ("ae", "map of 14"),
    ("01 01", "1 type: 1, a frame"),
    ("02 01", "2 version: 1"),
    ("03 50 21fe31dfa154a261626bf854046fd227", "3 device id: first half of SHA-256 of its key"),
    ("04 48 0102030405060708", "4 chain id"),
    ("05 00", "5 seq: 0, the first of this chain"),
    ("06 58 20" + 32 * " 00", "6 prev: 32 zero bytes, for there is no frame before it"),
    ("07 83 f5 f4 63 6e7470", '7 clock: [synchronised true, stepped false, source "ntp"]'),
    ("08 82", "8 meters: array of 2"),
    ("70 45415354524f4e2d3132333435363738", '"EASTRON-12345678"'),
    ("68 4142422d34323432", '"ABB-4242"'),
    ("09 d8 45 44 0000 0100", "9 meter of each reading: uint16 (tag 69): 0, 1"),
    ("0a d8 4f 50 006d9fe99e010000", "10 time_ms: sint64 (tag 79): 2026-06-21T10:00:00.000Z"),
    ("fa6d9fe99e010000", "   and 250 ms later"),
    ("0b d8 4f 50 c06fed711f010000", "11 import_uwh: sint64: 1234.567 kWh"),
    ("003bdf9b03000000", "   15.5 kWh"),
    ("0c d8 4f 50 0052493fcf000000", "12 export_uwh: sint64: 890.12 kWh"),
    ("0000000000000000", "   0, for the meter has no export register (flag 1)"),
    ("0d d8 4e 48 9af7ffff", "13 power_w: sint32 (tag 78): -2150 W, that is export"),
    ("36010000", "   310 W"),
    ("0e d8 40 42 00 05", "14 flags: uint8 (tag 64): none; NO_EXPORT + CONFIGURED_ID"),
    ("58 40", "signature: byte string of 64 bytes, by the key of RFC 8032 §7.1 TEST 1"),
    ("8f49204ddbfea6d36a792792eb2cc0b0b0ded09e1b6885ddab4e4d9741adfafc", "   R"),
    ("2d1bb497cbd48b84c78f06a4c105067a58396e242f316ef24e21b356134d4e0b", "   S"),
]
FRAME_HASH = "04923610b93f5a15029fcfe70f295504850d90a46cdc32f5666431dbe00fdfca"

ACK = [
    ("d2 84 43 a1 01 32 a0", "COSE_Sign1 with alg Ed25519, as above"),
    ("58 29", "payload: byte string of 41 bytes"),
    ("a6", "map of 6"),
    ("01 02", "1 type: 2, an ack"),
    ("02 01", "2 version: 1"),
    ("03 50 21fe31dfa154a261626bf854046fd227", "3 device id"),
    ("04 48 0102030405060708", "4 chain id"),
    ("05 01", "5 next_seq: 1, so frame 0 is stored for good"),
    ("06 81", "6 verdicts: array of 1"),
    ("83 00 01 08", "   [seq 0, reading 1, reason 8: implausible jump]"),
    ("58 40", "signature: byte string of 64 bytes, by the key of RFC 8032 §7.1 TEST 2"),
    ("8f397f97f1087d46ee2f9a7a752db1d95bebeda39bb1b66f86b248b360107daa", "   R"),
    ("69310aad47d0546ef3b4db508d7b68e6e5d5ba365292b00bf25ce1741f3ba906", "   S"),
]


def test_a_frame_is_written_as_the_golden_bytes(
    frame: Frame, gateway_key: Ed25519PrivateKey
) -> None:
    assert seal_frame(frame, gateway_key) == _bytes(FRAME)


def test_the_golden_frame_is_read_as_its_content(
    frame: Frame, gateway_key: Ed25519PrivateKey
) -> None:
    opened = open_frame(_bytes(FRAME), gateway_key.public_key())
    assert opened == frame
    assert device_text(opened.device) == "eh7ddx5bksrgcytl7bkai36se4"
    assert frame_hash(_bytes(FRAME)).hex() == FRAME_HASH


def test_an_ack_is_written_and_read_as_the_golden_bytes(
    frame: Frame, backend_key: Ed25519PrivateKey
) -> None:
    ack = Ack(
        device=frame.device,
        chain=frame.chain,
        next_seq=1,
        verdicts=[Verdict(seq=0, index=1, reason=Reason.IMPLAUSIBLE_JUMP)],
    )
    assert seal_ack(ack, backend_key) == _bytes(ACK)
    assert open_ack(_bytes(ACK), backend_key.public_key()) == ack


def _bytes(rows: list[tuple[str, str]]) -> bytes:
    return bytes.fromhex("".join(piece for piece, _ in rows))
