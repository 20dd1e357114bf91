"""What is stored, read by the tests themselves: journal and outbox, without the core."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gridtokenx_wire import cose
from gridtokenx_wire.frame import Frame, decode_frame, frame_hash


@dataclass
class Journal:
    """Frames in stored order with their verdicts, and every movement of tokens."""

    frames: list[tuple[bytes, Frame]] = field(default_factory=list)
    refused: dict[tuple[bytes, int], set[int]] = field(default_factory=dict)
    movements: list[tuple[str, str, str, int]] = field(default_factory=list)
    orders: int = 0


def read_journal(path: Path) -> Journal:
    found = Journal()
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = database.execute("SELECT seq, kind, leaf, input, outcome FROM journal ORDER BY seq")
    for expected, (seq, kind, leaf, raw, outcome) in enumerate(rows, start=1):
        assert seq == expected
        found.movements += [tuple(each) for each in json.loads(leaf)["movements"]]
        if kind == "order":
            found.orders += 1
        if kind == "frame":
            frame = decode_frame(cose.split(raw)[2])
            found.frames.append((raw, frame))
            verdicts = msgspec.msgpack.decode(outcome)[6]
            found.refused[frame.device, frame.seq] = {index for index, _ in verdicts}
    database.close()
    return found


def read_outbox(path: Path) -> list[bytes]:
    """Return the frames that a gateway still keeps, in order."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    frames = [row[0] for row in database.execute("SELECT message FROM frame ORDER BY seq")]
    database.close()
    return frames


def check_chains(journal: Journal, kept: list[bytes]) -> int:
    """Check that every frame from 0 on is stored once or still kept; return how many are stored."""
    chain: dict[int, bytes] = {}
    for raw, frame in journal.frames:
        assert frame.seq not in chain, f"frame {frame.seq} is stored twice"
        chain[frame.seq] = raw
    stored = len(chain)
    for raw in kept:
        frame = decode_frame(cose.split(raw)[2])
        assert chain.setdefault(frame.seq, raw) == raw
    assert sorted(chain) == list(range(len(chain))), "a frame is missing"
    for seq in range(1, len(chain)):
        frame = decode_frame(cose.split(chain[seq])[2])
        assert frame.prev == frame_hash(chain[seq - 1])
    return stored


def check_minted(journal: Journal) -> int:
    """GRID issued equals what the accepted readings say was exported, to the µWh."""
    exported: dict[str, list[int]] = defaultdict(list)
    for _, frame in journal.frames:
        refused = journal.refused[frame.device, frame.seq]
        for index, reading in enumerate(frame.readings()):
            if index not in refused:
                exported[reading.meter].append(reading.export_uwh)
    due = sum(registers[-1] - registers[0] for registers in exported.values())
    minted = sum(amount for asset, debit, _, amount in journal.movements if debit == "issuer:GRID")
    assert minted == due
    return minted


def check_sums(journal: Journal) -> None:
    """Every asset sums to zero, and only issuers are below it."""
    balances: Counter[tuple[str, str]] = Counter()
    for asset, debit, credit, amount in journal.movements:
        assert amount > 0
        balances[asset, debit] -= amount
        balances[asset, credit] += amount
        assert balances[asset, debit] >= 0 or debit == f"issuer:{asset}"
    sums: Counter[str] = Counter()
    for (asset, _), amount in balances.items():
        sums[asset] += amount
    assert not any(sums.values())
