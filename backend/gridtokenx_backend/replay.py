"""From the journal back to the community: at every start, and to prove that it can be done."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.community import Community, restore
from gridtokenx_backend.core.inputs import parse
from gridtokenx_backend.core.outcomes import NotJournaled
from gridtokenx_backend.core.state import digest
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.evidence import Entry, make_entry
from gridtokenx_backend.journal import Journal
from gridtokenx_backend.verify_worker import check
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.frame import decode_frame
from gridtokenx_wire.order import parse_instruction

PROGRESS_EVERY = 10_000


class Report(msgspec.Struct, frozen=True):
    """What a verification compared: entries, signatures, and snapshots' digests."""

    entries: int
    digest: str
    signatures: int
    snapshots: int


async def rebuild(journal: Journal) -> Community:
    """The community as the journal has it: newest snapshot, and the entries after it."""
    snapshot = await journal.newest_snapshot()
    if snapshot is None:
        community = Community()
    else:
        if digest(snapshot.state) != snapshot.digest:
            raise ReplayMismatch(f"snapshot {snapshot.seq}: its digest differs")
        community = restore(snapshot.state)
    async for entry in journal.entries(community.entries):
        replay_entry(community, entry)
    return community


def replay_entry(community: Community, entry: Entry) -> None:
    """Applies a stored entry again; everything that was stored of it must come out the same."""
    if entry.seq != community.entries + 1:
        raise ReplayMismatch(f"entry {community.entries + 1}: missing")
    try:
        given = parse(entry.kind, entry.input)
    except (WireError, ValueError) as error:
        raise ReplayMismatch(f"entry {entry.seq}: its input cannot be read: {error}") from None
    outcome = machine.apply(community, given, entry.at_ms)
    if isinstance(outcome, NotJournaled):
        raise ReplayMismatch(f"entry {entry.seq}: refused when replayed")
    again = make_entry(entry.seq, entry.at_ms, given, outcome, entry.salt)
    if again != entry:
        raise ReplayMismatch(f"entry {entry.seq}: its {_difference(again, entry)} differs")


def _difference(again: Entry, stored: Entry) -> str:
    names = [name for name in Entry._fields if getattr(again, name) != getattr(stored, name)]
    return " and ".join(names)


async def verify(journal: Journal, progress: Callable[[int], None]) -> Report:
    """Replays everything from the first entry on and compares it with what is stored.

    Raises ReplayMismatch at the first difference.
    """
    community = Community()
    newest = await journal.newest_snapshot()
    signatures = snapshots = 0
    async for entry in journal.entries(0):
        signatures += _check_signature(community, entry)
        replay_entry(community, entry)
        if newest is not None and entry.seq == newest.seq:
            if digest(community.snapshot()) != newest.digest:
                raise ReplayMismatch(f"snapshot {newest.seq}: the replayed state differs")
            snapshots += 1
        if entry.seq % PROGRESS_EVERY == 0:
            progress(entry.seq)
    return Report(community.entries, digest(community.snapshot()), signatures, snapshots)


def _check_signature(community: Community, entry: Entry) -> int:
    """1 if the entry's input is signed, and the signature is valid; 0 if it has none."""
    try:
        match entry.kind:
            case "frame":
                signature, signed, payload = cose.split(entry.input)
                device = community.devices.get(decode_frame(payload).device)
                key = device.public_key if device else b""
            case "order":
                parsed = parse_instruction(entry.input)
                key, signature, signed = parsed.public_key, parsed.signature, parsed.signed
            case _:
                return 0
    except WireError as error:
        raise ReplayMismatch(f"entry {entry.seq}: its input cannot be read: {error}") from None
    if not check((key, signature, signed)):
        raise ReplayMismatch(f"entry {entry.seq}: its signature is not valid")
    return 1
