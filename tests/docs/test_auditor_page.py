"""The auditor's program, cut out of its page, finds what was changed in a journal."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.backend.core.minting.test_refused_frames import Double
from tests.docs.markdown import DOCS, block
from tests.docs.test_wire_format import FRAME, GATEWAY, MEMBER, WALLET

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import (
    FrameInput,
    Input,
    OrderInput,
    configuration_input,
)
from gridtokenx_backend.core.messages.outcomes import NotJournaled
from gridtokenx_backend.core.model.terms import (
    CommunitySection,
    CommunityTerms,
    DeviceTerms,
    MemberTerms,
    MeterTerms,
)
from gridtokenx_backend.core.state.community import Community
from gridtokenx_backend.journal.entry import Entry, make_entry
from gridtokenx_backend.journal.sqlite_journal import open_journal
from gridtokenx_wire.config import Grx, Kilowatt, PublicKey
from gridtokenx_wire.frame import ClockStatus, build_frame, frame_hash, open_frame, seal_frame
from gridtokenx_wire.keys import device_text, raw_public_key
from gridtokenx_wire.order import open_instruction
from gridtokenx_wire.reading import Reading

PAGE = (DOCS / "auditor.md").read_text()
ERASE = "UPDATE journal SET salt = NULL, input = NULL, outcome = NULL"


TIMES_MS = (0, 1782036001000, 1782037800500, 1782037800600)


def inputs() -> list[Input]:
    """Terms, two frames of which the second mints 1.5 kWh, and an order."""
    first = open_frame(FRAME, GATEWAY.public_key())
    half_an_hour_later = Reading(
        meter="EASTRON-12345678",
        time_ms=1782037800000,
        import_uwh=1234567000000,
        export_uwh=891620000000,
        power_w=-3000,
    )
    clock = ClockStatus(synchronised=True, stepped=False, source="ntp")
    second = build_frame(
        first.device, first.chain, 1, frame_hash(FRAME), clock, [half_an_hour_later]
    )
    wire_page = (DOCS / "wire-format.md").read_text()
    jws = block(wire_page, "jws order").replace("\n", "").encode()
    member = PublicKey(raw_public_key(MEMBER.public_key()))
    terms = CommunityTerms(
        community=CommunitySection(name="sonnenweg"),
        member=[MemberTerms(name="Anna", wallet=member, opening_grx=Grx(100_000_000))],
        device=[DeviceTerms(public_key=PublicKey(raw_public_key(GATEWAY.public_key())))],
        meter=[
            MeterTerms(
                id="EASTRON-12345678",
                owner="Anna",
                max_power_kw=Kilowatt(17_000),
                device=device_text(first.device),
            )
        ],
    )
    return [
        configuration_input(terms),
        FrameInput(FRAME, first),
        FrameInput(seal_frame(second, GATEWAY), second),
        OrderInput(jws, open_instruction(jws)),
    ]


def entries() -> list[Entry]:
    community = Community()
    made = []
    for given, at_ms in zip(inputs(), TIMES_MS, strict=True):
        outcome = machine.apply(community, given, at_ms)
        assert not isinstance(outcome, NotJournaled), outcome
        made.append(make_entry(community.entries, at_ms, given, outcome, bytes(16)))
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    async def store() -> None:
        opened = await open_journal(tmp_path / "journal.db")
        await opened.append(entries(), [])
        await opened.close()

    asyncio.run(store())
    return tmp_path / "journal.db"


def audit(journal: Path) -> subprocess.CompletedProcess[str]:
    program = journal.with_name("audit.py")
    program.write_text(block(PAGE, "python audit"))
    command = [sys.executable, "-I", str(program), str(journal)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def change(journal: Path, statement: str) -> None:
    database = sqlite3.connect(journal)
    database.execute(statement)
    database.commit()
    database.close()


def test_a_sound_journal_gives_the_balances(journal: Path) -> None:
    lines = audit(journal).stdout.splitlines()
    assert lines[0] == "4 leaf hashes and 4 commitments hold"
    assert [line.split() for line in lines[1:]] == [
        ["GRID", "1500000000", WALLET],
        ["GRID", "-1500000000", "issuer:GRID"],
        ["GRX", "100000000", WALLET],
        ["GRX", "-100000000", "issuer:GRX"],
    ]


def test_leaves_alone_give_the_same_balances(journal: Path) -> None:
    with_bodies = audit(journal).stdout.splitlines()
    change(journal, ERASE)
    without = audit(journal).stdout.splitlines()
    assert without[0] == "4 leaf hashes and 0 commitments hold"
    assert without[1:] == with_bodies[1:]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE journal SET input = x'00' WHERE seq = 2", "entry 2: commitment"),
        ("UPDATE journal SET outcome = x'90' WHERE seq = 3", "entry 3: commitment"),
        (
            "UPDATE journal SET leaf = CAST(replace(CAST(leaf AS TEXT), '1500000000', '9500000000')"
            " AS BLOB) WHERE seq = 3",
            "entry 3: leaf hash",
        ),
        ("DELETE FROM journal WHERE seq = 2", "entry 2 is missing"),
    ],
)
def test_what_was_changed_is_found(journal: Path, statement: str, found: str) -> None:
    change(journal, statement)
    done = audit(journal)
    assert done.returncode == 1
    assert f"AssertionError: {found}" in done.stderr


def test_the_operators_command_leaves_nothing_but_leaves() -> None:
    assert ERASE in PAGE


def test_the_hashes_of_refused_frames_are_those_of_the_frames(tmp_path: Path) -> None:
    double = Double()
    double.apply(double.sender.first())
    double.apply(double.sender.frame("stale"))

    async def store() -> None:
        opened = await open_journal(tmp_path / "journal.db")
        await opened.append(double.entries, [])
        await opened.close()

    asyncio.run(store())
    program = tmp_path / "refused.py"
    program.write_text(block(PAGE, "python refused"))
    command = [sys.executable, "-I", str(program), str(tmp_path / "journal.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    seq, message = double.entries[1].seq, double.sender.gateway.sent[1]
    assert done.stdout == (
        f"entry {seq}: frame 1 of chain {double.sender.gateway.chain.hex()}, {len(message)} bytes: "
        f"{frame_hash(message).hex()}\n"
    )
