"""The checks that what is stored is whole, signed, and the same when it is replayed."""

from __future__ import annotations

import hashlib
import json
import subprocess

import msgspec

from bench.rig.month_audit import Month
from bench.rig.processes import python
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.signed_messages import (
    frame_is_signed,
    instruction_is_signed,
    read_instruction,
)


def journal_is_gapless(month: Month) -> str:
    """Entries are numbered from 1 without a gap, and time never runs backwards."""
    last_ms = 0
    for number, entry in enumerate(month.entries, start=1):
        if entry.seq != number or entry.at_ms < last_ms:
            raise Violation(f"entry {entry.seq}: expected number {number}, from {last_ms} on")
        last_ms = entry.at_ms
    return f"{len(month.entries)} entries"


def leaf_hashes_hold(month: Month) -> str:
    """Each leaf hash is SHA-256(0x00 ‖ leaf), RFC 6962 §2.1."""
    for entry in month.entries:
        if hashlib.sha256(b"\x00" + entry.raw_leaf).digest() != entry.leaf_hash:
            raise Violation(f"entry {entry.seq}: its leaf has another hash")
    return f"{len(month.entries)} leaves"


def leaves_tell_what_happened(month: Month) -> str:
    """Each public leaf has its entry's movements."""
    for entry in month.entries:
        if json.loads(entry.raw_leaf)["movements"] != msgspec.to_builtins(entry.movements):
            raise Violation(f"entry {entry.seq}: its leaf moves other amounts")
    return f"{sum(1 for _ in month.movements())} movements"


def commitments_hold(month: Month) -> str:
    """Each leaf commits to its salt, input and outcome."""
    for entry in month.entries:
        length = len(entry.input).to_bytes(8, "big")
        committed = hashlib.sha256(entry.salt + length + entry.input + entry.raw_outcome)
        if committed.hexdigest() != json.loads(entry.raw_leaf)["commitment"]:
            raise Violation(f"entry {entry.seq}: its input or outcome is not what was committed")
    return f"{len(month.entries)} commitments"


def frames_are_signed(month: Month) -> str:
    """Every frame's signature is its device's."""
    for entry, frame in month.frames:
        if not frame_is_signed(entry.input, month.keys[frame.device]):
            raise Violation(f"entry {entry.seq}: its frame is not signed by its device")
    return f"{len(month.frames)} signatures"


def frame_chains_are_gapless(month: Month) -> str:
    """Each device's frames are one chain from seq 0, each with the hash of the one before
    it.
    """
    heads: dict[bytes, tuple[int, bytes]] = {}
    for entry, frame in month.frames:
        if (frame.seq, frame.prev) != heads.get(frame.device, (0, bytes(32))):
            raise Violation(f"entry {entry.seq}: its frame does not follow the one before it")
        heads[frame.device] = frame.seq + 1, hashlib.sha256(entry.input).digest()
    if heads.keys() != month.keys.keys():
        raise Violation("expected frames of every gateway")
    return f"{len(heads)} chains"


def instructions_are_signed(month: Month) -> str:
    """Every instruction is signed by the wallet that it names, a member's."""
    members = set(month.wallets)
    count = 0
    for entry in month.entries:
        if entry.kind == "order":
            if read_instruction(entry.input).wallet not in members:
                raise Violation(f"entry {entry.seq}: expected a member's wallet")
            if not instruction_is_signed(entry.input):
                raise Violation(f"entry {entry.seq}: not signed by its wallet")
            count += 1
    return f"{count} signatures"


def replay_agrees(month: Month) -> str:
    """The backend's own replay of all entries comes to the stored state and outcomes."""
    command = python(
        "gridtokenx_backend", "replay", "--verify", "--json", "--config", str(month.config)
    )
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, text=True)
    if done.returncode != 0:
        raise Violation(done.stderr.strip())
    return f"{json.loads(done.stdout)['entries']} entries"
