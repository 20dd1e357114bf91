"""docs/wire-format.md: its examples are the wire's, its tables are the code's."""

from __future__ import annotations

import io
import json
import re
from typing import get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.docs.markdown import DOCS, block, hex_of, section, table, tables

from gridtokenx_backend.api.problems import _ENROLMENT_STATUS, _SETTLEMENT_STATUS, _STATUS
from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages import outcomes, settlement_outcomes
from gridtokenx_backend.core.messages.inputs import FrameInput, configuration_input
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, Trade
from gridtokenx_backend.core.messages.refusals import EnrolmentRefusal, FrameRefusal, OrderRefusal
from gridtokenx_backend.core.messages.refused_frames import RefusedFrame, SummaryPlace
from gridtokenx_backend.core.messages.settlement_outcomes import SettlementRefusal
from gridtokenx_backend.core.minting.refused_frames import SMALLEST_BYTES
from gridtokenx_backend.core.model.held_energy import SuspectRegisters
from gridtokenx_backend.core.model.settlement import Certificate
from gridtokenx_backend.core.model.terms import (
    CommunitySection,
    CommunityTerms,
    DeviceTerms,
    MemberTerms,
    MeterTerms,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.ingest.acks import _ANSWERED
from gridtokenx_backend.ingest.state_notices import STATES
from gridtokenx_backend.journal.entry import Leaf, commit, leaf_hash, make_entry
from gridtokenx_edge.store.thinning import NEWEST, summarise
from gridtokenx_wire import topics
from gridtokenx_wire.ack import open_ack, seal_ack
from gridtokenx_wire.config import Grx, Kilowatt, PublicKey
from gridtokenx_wire.enrolment import (
    Consent,
    Enrol,
    EnrolmentAnswer,
    EnrolmentRequest,
    Succeed,
)
from gridtokenx_wire.frame import build_frame, frame_hash, open_frame, seal_frame
from gridtokenx_wire.hello import Hello, open_hello, seal_hello
from gridtokenx_wire.keys import device_id, device_text, public_key_text, raw_public_key
from gridtokenx_wire.message_file import FileType, Header, encode_header, read_header
from gridtokenx_wire.order import (
    Amend,
    Cancel,
    CancelAll,
    Instruction,
    Order,
    RecRetire,
    RecTransfer,
    Standing,
    Withdraw,
    open_instruction,
    sign_instruction,
)
from gridtokenx_wire.reading import Reading, ReadingFlag
from gridtokenx_wire.state_notice import GatewayState, StateNotice, open_answer, seal_notice
from gridtokenx_wire.verdict import Reason

PAGE = (DOCS / "wire-format.md").read_text()


def rfc_8032_key(seed: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))


# RFC 8032 §7.1, TEST 1 to 3.
GATEWAY = rfc_8032_key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
BACKEND = rfc_8032_key("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
MEMBER = rfc_8032_key("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
WALLET = public_key_text(MEMBER.public_key())
FRAME = hex_of(block(PAGE, "hex frame"))


def code(cell: str) -> str:
    """A table's cell without its backticks."""
    return cell.strip("`")


def test_the_frame_opens_and_is_written_again_byte_for_byte() -> None:
    frame = open_frame(FRAME, GATEWAY.public_key())
    assert seal_frame(frame, GATEWAY) == FRAME
    assert f"Two readings, {len(FRAME)} bytes." in PAGE
    assert frame.readings() == [
        Reading(
            meter="EASTRON-12345678",
            time_ms=1782036000000,
            import_uwh=1234567000000,
            export_uwh=890120000000,
            power_w=-2150,
        ),
        Reading(
            meter="ABB-4242",
            time_ms=1782036000250,
            import_uwh=15500000000,
            export_uwh=0,
            power_w=310,
            flags=5,
        ),
    ]


def test_the_ids_of_the_page_are_those_of_its_frame_and_keys() -> None:
    frame = open_frame(FRAME, GATEWAY.public_key())
    shown = [code(row[2]) for row in table(section(PAGE, "Keys and ids"))]
    assert shown == [WALLET, device_text(frame.device), frame.chain.hex(), frame.meters[0]]
    assert frame.device == device_id(GATEWAY.public_key())


def test_the_next_frames_prev_is_the_hash_of_the_frame() -> None:
    assert block(PAGE, "text prev").strip() == frame_hash(FRAME).hex()


def test_the_summary_opens_and_is_what_thinning_makes_of_its_frames() -> None:
    message = hex_of(block(PAGE, "hex summary"))
    opened = open_frame(message, GATEWAY.public_key())
    first = open_frame(FRAME, GATEWAY.public_key())
    stored = []
    prev = frame_hash(FRAME)
    for seq in (1, 2, 3):
        newer = Reading(
            meter="EASTRON-12345678",
            time_ms=1782036000000 + seq * 300_000,
            import_uwh=1234567000000,
            export_uwh=890120000000 + seq * 180_000_000,
            power_w=-2150,
        )
        frame = build_frame(first.device, first.chain, seq, prev, first.clock, [newer])
        stored.append((frame, sealed := seal_frame(frame, GATEWAY)))
        prev = frame_hash(sealed)
    assert summarise(stored, NEWEST) == (opened, 3)
    assert seal_frame(opened, GATEWAY) == message
    assert f"newest reading; {len(message)} bytes:" in PAGE


def test_the_file_begins_with_the_header_of_the_page() -> None:
    content = hex_of(block(PAGE, "hex file"))
    frame = open_frame(FRAME, GATEWAY.public_key())
    header = Header(
        type=FileType.FRAMES, device=frame.device, chain=frame.chain, first_seq=0, next_seq=4
    )
    assert read_header(io.BytesIO(content), FileType.FRAMES) == header
    assert encode_header(header) == content


def test_the_ack_opens_and_is_written_again_byte_for_byte() -> None:
    message = hex_of(block(PAGE, "hex ack"))
    ack = open_ack(message, BACKEND.public_key())
    assert seal_ack(ack, BACKEND) == message
    assert (ack.next_seq, [(v.seq, v.index, v.reason) for v in ack.verdicts]) == (
        1,
        [(0, 1, Reason.IMPLAUSIBLE_JUMP)],
    )


def test_the_ack_with_a_head_opens_and_is_written_again_byte_for_byte() -> None:
    message = hex_of(block(PAGE, "hex ack with a head"))
    ack = open_ack(message, BACKEND.public_key())
    assert seal_ack(ack, BACKEND) == message
    assert (ack.next_seq, ack.head) == (1, frame_hash(FRAME))


def test_the_hello_opens_and_is_written_again_byte_for_byte() -> None:
    message = hex_of(block(PAGE, "hex hello"))
    hello = open_hello(message, GATEWAY.public_key())
    assert hello == Hello(
        device=device_id(GATEWAY.public_key()), chain=bytes.fromhex("0102030405060708")
    )
    assert seal_hello(hello, GATEWAY) == message


def test_the_notice_opens_and_is_written_again_byte_for_byte() -> None:
    message = hex_of(block(PAGE, "hex notice"))
    notice = open_answer(message, BACKEND.public_key())
    assert notice == StateNotice(
        device=device_id(GATEWAY.public_key()),
        time_ms=1782036001000,
        state=GatewayState.HELD,
        reason="two frames of number 0",
    )
    assert seal_notice(notice, BACKEND) == message


def test_the_states_of_a_gateway_are_those_of_the_code() -> None:
    rows = table(section(PAGE, "State notice"))
    shown = [(int(row[0]), code(row[1])) for row in rows]
    sent = [state for state in GatewayState if state is not GatewayState.UNKNOWN]
    assert shown == [(int(state), state.label) for state in sent]


def test_the_order_opens_and_is_signed_again_byte_for_byte() -> None:
    jws = block(PAGE, "jws order").replace("\n", "")
    order = open_instruction(jws.encode())
    assert sign_instruction(order, MEMBER) == jws
    payload = block(PAGE, "json order").encode().strip()
    assert msgspec.json.encode(order) == payload
    assert isinstance(order, Order)
    assert order.wallet == WALLET


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ("json cancel", Cancel),
        ("json standing", Standing),
        ("json withdraw", Withdraw),
        ("json rec_transfer", RecTransfer),
        ("json rec_retire", RecRetire),
    ],
)
def test_the_other_instructions_are_read_as_what_they_are(
    info: str, kind: type[Instruction]
) -> None:
    payload = block(PAGE, info).encode().strip()
    instruction = msgspec.json.decode(payload, type=Instruction)
    assert type(instruction) is kind
    assert instruction.wallet == WALLET
    assert msgspec.json.encode(instruction) == payload


def test_every_field_of_an_instruction_is_in_its_table() -> None:
    fields = {"kind"}
    for kind in (Order, Amend, Cancel, CancelAll, Standing, Withdraw, RecTransfer, RecRetire):
        fields |= set(kind.__struct_fields__)
    assert {code(row[0]) for row in table(section(PAGE, "Instructions"))} == fields


def test_the_flags_are_those_of_the_code() -> None:
    _, flags = tables(section(PAGE, "Reading"))
    assert [(int(row[0]), code(row[1])) for row in flags] == [
        (flag.value, flag.name) for flag in ReadingFlag
    ]


def test_the_verdicts_are_those_of_the_code_in_their_order() -> None:
    shown = [(int(row[0]), code(row[1])) for row in table(section(PAGE, "Verdicts"))]
    assert shown == [(reason.value, reason.label) for reason in Reason]


def test_the_refusals_of_frames_are_those_of_the_code_in_their_order() -> None:
    rows = table(section(PAGE, "Frames that are not taken"))
    assert [code(row[0]) for row in rows] == [refusal.value for refusal in FrameRefusal]
    answered = {code(row[0]) for row in rows if row[2] != "none"}
    assert answered == {refusal.value for refusal in _ANSWERED}
    noticed = {code(row[0]): code(row[3]) for row in rows if row[3] != "none"}
    assert noticed == {refusal.value: state.label for refusal, state in STATES.items()}


def test_the_refusals_of_instructions_have_their_http_status() -> None:
    rows = table(section(PAGE, "Instructions that are refused"))
    assert [(code(row[0]), int(row[1])) for row in rows] == [
        (refusal.value, _STATUS[refusal]) for refusal in OrderRefusal
    ]


def test_the_refusals_of_commands_have_their_http_status() -> None:
    rows = table(section(PAGE, "Commands that are refused"))
    assert [(code(row[0]), int(row[1])) for row in rows] == [
        (refusal.value, _SETTLEMENT_STATUS[refusal]) for refusal in SettlementRefusal
    ]


def test_the_refusals_of_enrolments_have_their_http_status() -> None:
    rows = table(section(PAGE, "Enrolments that are refused"))
    assert [(code(row[0]), int(row[1])) for row in rows] == [
        (refusal.value, _ENROLMENT_STATUS[refusal]) for refusal in EnrolmentRefusal
    ]


def test_statements_and_answers_have_the_fields_of_the_code() -> None:
    statements, requests, answers = tables(section(PAGE, "Enrolment"))
    assert [(code(row[0]), re.findall(r"`(\w+)`", row[2])) for row in statements] == [
        (str(kind.__struct_config__.tag), [name for name in kind.__struct_fields__ if name != "v"])
        for kind in (Enrol, Succeed, Consent)
    ]
    assert re.findall(r"`(secret|statement)`", requests[0][1]) == [
        *EnrolmentRequest.__struct_fields__
    ]
    shown = {name for row in answers for name in re.findall(r"`(\w+)`", row[0])}
    assert shown == {*EnrolmentAnswer.__struct_fields__}


def test_the_topics_are_those_of_the_code() -> None:
    shown = [code(row[0]) for row in table(section(PAGE, "Topics"))]
    assert shown == [
        topics.frames_topic("{community}", "{device}"),
        topics.acks_topic("{community}", "{device}"),
        topics.status_topic("{community}", "{device}"),
        topics.feed_topic("{community}", "{name}"),
    ]


def make_example_entry() -> tuple[bytes, bytes, list[object]]:
    """(leaf, outcome, first entry's movements) of the community that the page describes."""
    device = device_text(device_id(GATEWAY.public_key()))
    terms = CommunityTerms(
        community=CommunitySection(name="sonnenweg"),
        member=[
            MemberTerms(
                name="Anna",
                wallet=PublicKey(raw_public_key(MEMBER.public_key())),
                opening_grx=Grx(100_000_000),
            )
        ],
        device=[
            DeviceTerms(
                public_key=PublicKey(raw_public_key(GATEWAY.public_key())), site="Sonnenweg 3"
            )
        ],
        meter=[
            MeterTerms(
                id="EASTRON-12345678", owner="Anna", max_power_kw=Kilowatt(17_000), device=device
            )
        ],
    )
    at_ms = json.loads(block(PAGE, "json leaf"))["at_ms"]
    community = Community()
    opened = machine.apply(community, configuration_input(terms), at_ms - 1000)
    assert isinstance(opened, outcomes.Configured)
    given = FrameInput(FRAME, open_frame(FRAME, GATEWAY.public_key()))
    outcome = machine.apply(community, given, at_ms)
    assert isinstance(outcome, FrameAccepted)
    salt = bytes.fromhex(block(PAGE, "text salt"))
    entry = make_entry(2, at_ms, given, outcome, salt)
    return entry.leaf, entry.outcome, [*opened.movements]


def test_the_journal_entry_is_what_the_core_makes_of_the_frame() -> None:
    leaf, outcome, movements = make_example_entry()
    assert leaf == block(PAGE, "json leaf").strip().encode()
    assert outcome == bytes.fromhex(block(PAGE, "text outcome"))
    assert msgspec.json.encode(movements[0]) == block(PAGE, "json movement").strip().encode()


def test_leaf_hash_and_commitment_follow_from_what_the_page_shows() -> None:
    leaf = block(PAGE, "json leaf").strip().encode()
    assert leaf_hash(leaf) == bytes.fromhex(block(PAGE, "text leaf-hash"))
    salt, outcome = (bytes.fromhex(block(PAGE, f"text {name}")) for name in ("salt", "outcome"))
    assert json.loads(leaf)["commitment"] == commit(salt, FRAME, outcome)


def test_the_fields_of_leaves_and_outcomes_are_those_of_the_code() -> None:
    fields, shapes, *_ = tables(section(PAGE, "Journal entry"))
    assert [code(row[0]) for row in fields] == [*Leaf.__struct_fields__]
    told = {code(row[0]): [code(name) for name in row[1].split(", ")] for row in shapes}
    assert len(told) == len(shapes)
    assert told == {
        str(kind.__struct_config__.tag): [*kind.__struct_fields__]
        for kind in get_args(outcomes.Outcome)
    }
    for kind in (Trade, settlement_outcomes.Retirement, Certificate):
        assert f"`[{', '.join(kind.__struct_fields__)}]`" in PAGE


def test_the_fields_of_a_refused_frame_are_those_of_the_code() -> None:
    rows = table(section(PAGE, "A refused frame"))
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert told == [*RefusedFrame.__struct_fields__]
    meanings = {row[0]: row[1] for row in rows}
    suspect = ", ".join(SuspectRegisters.__struct_fields__)
    assert f"`[meter, [{suspect}]]`" in meanings["`suspects`"]
    assert f"`[{', '.join(SummaryPlace.__struct_fields__)}]`" in meanings["`summary`"]
    assert f"{SMALLEST_BYTES:,} bytes" in section(PAGE, "A refused frame")
