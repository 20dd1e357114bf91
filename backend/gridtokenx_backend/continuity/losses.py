"""What a start finds lost: entries that the head knows and the journal does not, keys, files.

Nothing is decided here but whether something is lost. Whoever wants to go on without it says so
with a command, which is journaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from gridtokenx_backend.continuity.journal_head import JournalHead


class FoundState(msgspec.Struct, frozen=True, kw_only=True):
    """What is there at a start.

    `leaf_hash` is that of the journal's entry with the head's number; it is empty without one.
    `head_fault` says why the head cannot be read. `known` has what the journal knows of things
    outside it, by name: `ack` and `ca` (public keys), `head` (that one is kept). `ack_keys` are the
    present ack key, and the one that it has replaced by `key rotate`, if that is still there; the
    list is empty if there is no ack key at all, which is another finding.
    `series_seq` is the newest entry that the series of intervals was computed from.
    """

    last_seq: int
    last_ms: int
    leaf_hash: bytes
    head: JournalHead | None
    head_fault: str
    known: dict[str, str]
    ack_keys: list[str]
    ca: str
    series_seq: int


def find_losses(found: FoundState) -> list[str]:
    """Return what is lost, each as a part of a sentence; the list is empty if nothing is."""
    return [*_lost_keys(found), *_lost_entries(found)]


def _lost_keys(found: FoundState) -> Iterator[str]:
    ack = found.known.get("ack", "")
    if ack and found.ack_keys and ack not in found.ack_keys:
        yield f"ack.key is lost: expected {ack}, which gateways trust, got {found.ack_keys[0]}"
    authority = found.known.get("ca", "")
    if authority and authority != found.ca:
        got = found.ca or "none"
        yield f"the CA is lost: expected the certificate {authority} in ca/, got {got}"


def _lost_entries(found: FoundState) -> Iterator[str]:
    head = found.head
    if found.head_fault:
        yield f"journal.head cannot be relied on: {found.head_fault}"
    elif head is None and "head" in found.known:
        yield "journal.head is lost, so nobody knows whether the journal is whole"
    elif head is not None and head.seq > found.last_seq:
        yield _describe_behind(found, head)
    elif head is not None and head.leaf_hash != found.leaf_hash:
        yield (
            f"the journal is another one: its entry {head.seq} is not the one that journal.head "
            "was signed for"
        )
    if found.series_seq > found.last_seq and (head is None or head.seq <= found.last_seq):
        yield (
            f"the journal ends at entry {found.last_seq}, and intervals.db knows entry "
            f"{found.series_seq}"
        )


def _describe_behind(found: FoundState, head: JournalHead) -> str:
    count = head.seq - found.last_seq
    last = f"entry {found.last_seq} of {_time(found.last_ms)}" if found.last_seq else "no entry"
    entries = "1 entry is" if count == 1 else f"{count} entries are"
    return (
        f"the journal ends with {last}, and journal.head was signed for entry {head.seq} of "
        f"{_time(head.at_ms)} with {head.frames} frames and {head.trades} trades in all: {entries} "
        "lost"
    )


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
