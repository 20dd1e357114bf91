"""General block transfer of what is pushed: blocks in order make a message, others none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_dlms.errors import DlmsError, MalformedError, SequenceError
from gridtokenx_dlms.xdlms.general_block import (
    MAX_MESSAGE,
    BlockAssembler,
    GeneralBlock,
    parse_general_block,
)


def blocks(message: bytes, size: int) -> list[bytes]:
    parts = [message[at : at + size] for at in range(0, len(message), size)] or [b""]
    return [
        GeneralBlock(
            number=number, part=part, is_last=number == len(parts), is_streaming=True, window=5
        ).to_bytes()
        for number, part in enumerate(parts, start=1)
    ]


@given(message=st.binary(max_size=600), size=st.integers(1, 200))
def test_a_message_in_blocks_is_whole_after_the_last(message: bytes, size: int) -> None:
    assembler = BlockAssembler()
    for _ in range(2):  # a second one begins anew
        *first, last = blocks(message, size)
        assert [assembler.receive(block) for block in first] == [None] * len(first)
        assert assembler.receive(last) == message


def test_what_comes_in_no_blocks_is_whole_already() -> None:
    assert BlockAssembler().receive(b"\x0f\x00") == b"\x0f\x00"


def test_a_lost_block_loses_its_message_and_no_other() -> None:
    assembler = BlockAssembler()
    first, _, third = blocks(b"abc", 1)
    assembler.receive(first)
    with pytest.raises(SequenceError, match="expected block 2, got 3"):
        assembler.receive(third)
    assert [assembler.receive(block) for block in blocks(b"xyz", 1)][-1] == b"xyz"


def test_a_message_without_an_end_is_given_up() -> None:
    assembler = BlockAssembler()
    last_number = MAX_MESSAGE // 1024 + 1
    for number in range(1, last_number):
        assembler.receive(GeneralBlock(number=number, part=bytes(1024), is_last=False).to_bytes())
    with pytest.raises(MalformedError, match="at most"):
        assembler.receive(GeneralBlock(number=last_number, part=b"x", is_last=False).to_bytes())


@given(message=st.binary(max_size=30))
def test_any_bytes_make_a_block_or_an_error_of_ours(message: bytes) -> None:
    try:
        block = parse_general_block(b"\xe0" + message)
    except DlmsError:
        return
    assert parse_general_block(block.to_bytes()) == block
