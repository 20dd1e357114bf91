"""From the journal back to the community: at every start, and to prove that it can be done."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from gridtokenx_backend.core import machine
from gridtokenx_backend.core.messages.inputs import (
    ConfigurationInput,
    EnrolmentInput,
    ForkInput,
    FrameInput,
    Input,
    OrderInput,
    RotationInput,
    parse,
)
from gridtokenx_backend.core.messages.outcomes import NotJournaled, Outcome
from gridtokenx_backend.core.model.rules_version import RULES_VERSION
from gridtokenx_backend.core.state.community import Community, restore
from gridtokenx_backend.core.state.snapshot import OLDEST_VERSION, digest, version_of
from gridtokenx_backend.errors import ReplayMismatch
from gridtokenx_backend.journal.entry import (
    LEAF_VERSION,
    Entry,
    commit,
    decode_leaf,
    leaf_hash,
    make_entry,
)
from gridtokenx_backend.journal.port import Journal, Snapshot, trade_rows
from gridtokenx_backend.replay.series_check import SeriesCheck
from gridtokenx_backend.signatures.verify_worker import SignatureJob, check
from gridtokenx_wire import cose
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.order import parse_instruction

PROGRESS_EVERY = 10_000
ALL = 2**63 - 1
log = structlog.get_logger()


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification compared: entries, signatures, snapshots' digests, stored intervals."""

    entries: int
    digest: str
    signatures: int
    snapshots: int
    intervals: int = 0


async def rebuild(journal: Journal) -> Community:
    """Return the community as the journal has it: the newest snapshot and the entries after it.

    Raises ReplayMismatch, JournalUnavailable.
    """
    snapshot = await journal.newest_snapshot()
    community = Community()
    if snapshot is not None:
        _check_snapshot(snapshot, await journal.last_seq())
        try:
            if version_of(snapshot.state) < OLDEST_VERSION:
                log.info("snapshot of an older version: every entry is replayed", seq=snapshot.seq)
            else:
                community = restore(snapshot.state)
        except ValueError as error:
            raise ReplayMismatch(f"snapshot {snapshot.seq}: {error}") from None
    async for entry in journal.entries(community.entries):
        replay_entry(community, entry)
    return community


def _check_snapshot(snapshot: Snapshot, last_seq: int) -> None:
    if digest(snapshot.state) != snapshot.digest:
        raise ReplayMismatch(f"snapshot {snapshot.seq}: its digest differs")
    if snapshot.seq > last_seq:
        raise ReplayMismatch(f"snapshot {snapshot.seq}: the journal ends at entry {last_seq}")


def _is_comparable(snapshot: Snapshot) -> bool:
    """Whether a state of today has the shape that this snapshot was taken in."""
    try:
        return version_of(snapshot.state) >= OLDEST_VERSION
    except ValueError:
        return True  # no snapshot of any version: it differs


def replay_entry(community: Community, entry: Entry) -> None:
    """Apply a stored entry again; everything that was stored of it must come out the same.

    Raises ReplayMismatch.
    """
    _apply(community, entry, _parse(community, entry))


def _apply(community: Community, entry: Entry, input_: Input) -> Outcome:
    leaf = decode_leaf(entry.leaf)
    try:
        outcome = machine.apply(community, input_, entry.at_ms, leaf.rules)
    except (KeyError, ValueError) as error:
        if not isinstance(input_, ConfigurationInput):
            raise  # only terms that were checked before may be put to the core
        raise ReplayMismatch(f"entry {entry.seq}: its terms cannot be used: {error}") from None
    if isinstance(outcome, NotJournaled):
        raise ReplayMismatch(f"entry {entry.seq}: refused when replayed")
    again = make_entry(
        entry.seq,
        entry.at_ms,
        input_,
        outcome,
        entry.salt,
        leaf_version=leaf.v,
        rules=leaf.rules,
    )
    if again != entry:
        raise ReplayMismatch(f"entry {entry.seq}: its {_difference(again, entry)} differs")
    return outcome


def _parse(community: Community, entry: Entry) -> Input:
    """Return the input of the next entry, once the entry is known to agree with itself."""
    if entry.seq != community.entries + 1:
        raise ReplayMismatch(f"entry {community.entries + 1}: missing")
    if fault := _fault(entry):
        raise ReplayMismatch(f"entry {entry.seq}: {fault}")
    if entry.at_ms < community.at_ms and entry.kind != "clock":
        raise ReplayMismatch(f"entry {entry.seq}: its at_ms is before that of the entry before it")
    if decode_leaf(entry.leaf).rules < community.newest_rules:
        raise ReplayMismatch(f"entry {entry.seq}: its rules are older than the entry before it has")
    try:
        return parse(entry.kind, entry.input)
    except (WireError, ValueError) as error:
        raise ReplayMismatch(f"entry {entry.seq}: its input cannot be read: {error}") from None


def _fault(entry: Entry) -> str:
    """Return which columns of an entry contradict each other, or an empty text."""
    if None in entry:
        return f"its {Entry._fields[entry.index(None)]} was erased"
    if leaf_hash(entry.leaf) != entry.leaf_hash:
        return "its leaf_hash is not that of its leaf"
    try:
        leaf = decode_leaf(entry.leaf)
    except ValueError as error:
        return f"its leaf cannot be read: {error}"
    if leaf.v > LEAF_VERSION or leaf.rules > RULES_VERSION:
        return (
            f"expected leaf version {LEAF_VERSION} and rules version {RULES_VERSION} at most, got "
            f"{leaf.v} and {leaf.rules}: install the version that wrote it, or a newer one"
        )
    for name in ("seq", "at_ms", "kind"):
        if getattr(leaf, name) != getattr(entry, name):
            return f"its {name} is not that of its leaf"
    if commit(entry.salt, entry.input, entry.outcome) != leaf.commitment:
        return "its salt, input or outcome is not what its leaf commits to"
    return ""


def _difference(again: Entry, stored: Entry) -> str:
    names = [name for name in Entry._fields if getattr(again, name) != getattr(stored, name)]
    return " and ".join(names)


async def verify(
    journal: Journal,
    progress: Callable[[int], None],
    series: SeriesCheck | None = None,
    *,
    until: int = ALL,
    progress_every: int = PROGRESS_EVERY,
) -> ReplayReport:
    """Replay everything from the first entry on and compare it with what is stored.

    It ends with entry `until`, or where the journal ends. Raises ReplayMismatch at the first
    difference.
    """
    community = Community()
    newest = await journal.newest_snapshot()
    signatures = snapshots = trades = 0
    if newest is not None:
        _check_snapshot(newest, await journal.last_seq())
    async for entry in journal.entries(0):
        input_ = _parse(community, entry)
        signatures += _check_signature(community, entry, input_)
        outcome = _apply(community, entry, input_)
        if series is not None:
            await series.entry(entry.seq, outcome)
        if rows := trade_rows(entry.seq, entry.at_ms, outcome):
            trades += len(rows)
            if await journal.trades_of(entry.seq) != rows:
                raise ReplayMismatch(f"entry {entry.seq}: its trades in the history differ")
        if newest is not None and entry.seq == newest.seq and _is_comparable(newest):
            if community.snapshot() != newest.state:
                raise ReplayMismatch(f"snapshot {newest.seq}: the replayed state differs")
            snapshots += 1
        if entry.seq % progress_every == 0:
            progress(entry.seq)
        if entry.seq >= until:
            break
    if (found := await journal.count_trades(community.entries)) != trades:
        raise ReplayMismatch(f"the history of trades has {found} of them, the entries {trades}")
    if series is not None:
        await series.end(community.entries)
    return ReplayReport(
        entries=community.entries,
        digest=digest(community.snapshot()),
        signatures=signatures,
        snapshots=snapshots,
        intervals=series.rows if series is not None else 0,
    )


def _check_signature(community: Community, entry: Entry, input_: Input) -> int:
    """Return how many signatures an entry has. Raises ReplayMismatch if one is not valid."""
    jobs = _signatures(community, input_)
    if not all(check(job) for job in jobs):
        raise ReplayMismatch(f"entry {entry.seq}: its signature is not valid")
    return len(jobs)


def _signatures(community: Community, input_: Input) -> list[SignatureJob]:
    match input_:
        case FrameInput() | ForkInput():
            signature, signed, _ = cose.split(input_.raw)
            return [(_key_of(community, input_.frame.device), signature, signed)]
        case OrderInput():
            parsed = parse_instruction(input_.raw)
            return [parsed.signed.job(parsed.public_key)]
        case EnrolmentInput():
            enrolment = input_.enrolment
            return [enrolment.signed.job(enrolment.public_key)]
        case RotationInput():
            rotation = input_.rotation
            former = _key_of(community, rotation.device)
            return [rotation.consent.job(former), rotation.signed.job(rotation.public_key)]
    return []


def _key_of(community: Community, device: bytes) -> bytes:
    known = community.devices.get(device)
    return known.public_key if known else bytes(32)  # signs nothing
