"""The checks that the journal is whole, and its public part tells what its private part says."""

from __future__ import annotations

import hashlib

from gridtokenx_sim.demo.audit.evidence import Evidence
from gridtokenx_sim.demo.audit.finding import Violation


def journal_is_gapless(evidence: Evidence) -> str:
    """Entries are numbered from 1 without a gap, and their time never runs backwards."""
    last_ms = 0
    for number, entry in enumerate(evidence.entries, start=1):
        if entry.seq != number:
            raise Violation(f"expected entry {number}, found {entry.seq}")
        if entry.at_ms < last_ms:
            raise Violation(f"entry {number}: its time is before the entry's before it")
        last_ms = entry.at_ms
    return f"{len(evidence.entries)} entries"


def leaf_hashes_hold(evidence: Evidence) -> str:
    """Each leaf hash is SHA-256(0x00 ‖ leaf), RFC 6962 §2.1."""
    for entry in evidence.entries:
        if hashlib.sha256(b"\x00" + entry.raw_leaf).digest() != entry.leaf_hash:
            raise Violation(f"entry {entry.seq}: its leaf has another hash")
    return f"{len(evidence.entries)} leaves"


def leaves_tell_what_happened(evidence: Evidence) -> str:
    """Each public leaf has its entry's number, time and kind, and its outcome's movements."""
    movements = 0
    for entry in evidence.entries:
        leaf = entry.leaf
        if (leaf.seq, leaf.at_ms, leaf.kind) != (entry.seq, entry.at_ms, entry.kind):
            raise Violation(f"entry {entry.seq}: its leaf speaks of another entry")
        if leaf.movements != entry.movements:
            raise Violation(f"entry {entry.seq}: its leaf and its outcome move different amounts")
        movements += len(leaf.movements)
    return f"{movements} movements"


def commitments_hold(evidence: Evidence) -> str:
    """Each leaf commits to SHA-256(salt ‖ length of input ‖ input ‖ outcome)."""
    for entry in evidence.entries:
        length = len(entry.input).to_bytes(8, "big")
        committed = hashlib.sha256(entry.salt + length + entry.input + entry.raw_outcome)
        if committed.hexdigest() != entry.leaf.commitment:
            raise Violation(f"entry {entry.seq}: its input or outcome is not what was committed")
    return f"{len(evidence.entries)} commitments"
