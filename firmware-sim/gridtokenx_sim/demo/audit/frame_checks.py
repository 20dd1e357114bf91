"""The checks that the readings are the gateways', all of them, and each once."""

from __future__ import annotations

import hashlib

from gridtokenx_sim.demo.audit.evidence import Evidence, Outbox
from gridtokenx_sim.demo.audit.finding import Violation
from gridtokenx_sim.demo.audit.records import Entry, FrameOutcome
from gridtokenx_sim.demo.audit.refused_frames import RefusedOutcome
from gridtokenx_sim.demo.audit.signed_messages import device_text, frame_is_signed, read_frame

_GENESIS = bytes(32)
_FIRST_QUARANTINE = 64
"""Reasons below it reject a reading, from it on they quarantine it; 0 is accepted."""
_REASONS = range(1, 128)


def frames_are_signed(evidence: Evidence) -> str:
    """Every frame's COSE signature is valid under its device's key in community.toml.

    What is kept by its hash is vouched for by the frame behind it, which is signed and names it.
    """
    for device, entries in evidence.frames.items():
        key = evidence.device_keys.get(device)
        if key is None:
            raise Violation(f"entry {entries[0].seq}: expected a device of community.toml")
        for entry in entries:
            if entry.kind == "frame" and not frame_is_signed(entry.input, key):
                raise Violation(f"entry {entry.seq}: its frame is not signed by its device")
    whole = sum(entry.kind == "frame" for entry in evidence.entries)
    return f"{whole} signatures of {len(evidence.frames)} devices"


def frame_chains_are_gapless(evidence: Evidence) -> str:
    """Each device's frames are one chain from seq 0, each with the hash of the one before
    it.
    """
    for entries in evidence.frames.values():
        chain, prev, previous = entries[0].any_frame.chain, _GENESIS, 0
        for seq, entry in enumerate(entries):
            frame = entry.any_frame
            if (frame.chain, frame.seq) != (chain, seq):
                raise Violation(f"entry {entry.seq}: expected the chain's frame {seq}")
            if frame.prev != prev:
                raise Violation(f"entry {entry.seq}: its frame does not follow the one before it")
            if entry.previous != previous:
                raise Violation(f"entry {entry.seq}: expected entry {previous} as its predecessor")
            prev, previous = entry.frame_hash, entry.seq
    return f"{len(evidence.frames)} chains, {_count(evidence)} frames"


def no_frame_is_stored_twice(evidence: Evidence) -> str:
    """No frame, and no reading of a meter at a time that counts, stands in the journal twice."""
    frames: set[tuple[bytes, bytes, int]] = set()
    readings: set[tuple[str, int]] = set()
    for entry in evidence.entries:
        if not entry.is_frame:
            continue
        name = entry.any_frame.device, entry.any_frame.chain, entry.any_frame.seq
        if name in frames:
            raise Violation(f"entry {entry.seq}: its frame was stored before")
        frames.add(name)
        for index in accepted(entry):
            reading = entry.frame.meters[entry.frame.meter_index[index]], entry.frame.time_ms[index]
            if reading in readings:
                raise Violation(f"entry {entry.seq}: a reading of {reading[0]} counts twice")
            readings.add(reading)
    return f"{len(frames)} frames, {len(readings)} accepted readings"


def readings_are_accounted_for(evidence: Evidence) -> str:
    """Readings received are those accepted, rejected and quarantined, as the API says too."""
    received = sum(entry.any_frame.readings for entry in evidence.entries if entry.is_frame)
    counted = verdict_counts(evidence)
    if received != sum(counted):
        raise Violation(f"expected {received} verdicts, found {sum(counted)}")
    said = evidence.statement.summary
    told = said.readings_accepted, said.readings_rejected, said.readings_quarantined
    if counted != told:
        raise Violation(
            f"the journal has {counted} accepted, rejected, quarantined; the API {told}"
        )
    return "{} accepted, {} rejected, {} quarantined".format(*counted)


def accepted_readings_are_bound(evidence: Evidence) -> str:
    """Every accepted reading is of a meter that community.toml binds to the frame's device."""
    bound = {(meter.id, meter.device) for meter in evidence.terms.meter}
    meters = set()
    for device, entries in evidence.frames.items():
        text = device_text(device)
        for entry in entries:
            for index in accepted(entry):
                meter = entry.frame.meters[entry.frame.meter_index[index]]
                if (meter, text) not in bound:
                    raise Violation(f"entry {entry.seq}: {meter} is not bound to that device")
                meters.add(meter)
    return f"{len(meters)} meters"


def outboxes_hold_the_rest(evidence: Evidence) -> str:
    """What is left in the gateways' outboxes is exactly what follows the journal: nothing
    lost.
    """
    waiting = 0
    if len(evidence.outboxes) != len(evidence.device_keys):
        raise Violation(f"expected {len(evidence.device_keys)} outboxes")
    for outbox in evidence.outboxes:
        waiting += _waiting(outbox, evidence.frames.get(outbox.device, []))
    return f"{waiting} frames wait to be sent"


def _waiting(outbox: Outbox, stored: list[Entry]) -> int:
    """Return how many of its frames the journal does not have yet."""
    known = [entry.frame_hash for entry in stored]
    prev = known[-1] if known else _GENESIS
    name = f"outbox of {device_text(outbox.device)}"
    if not outbox.frames and not known:
        return 0
    if not outbox.frames:
        raise Violation(f"{name}: expected its newest frame, found none")
    first, last = outbox.frames[0][0], outbox.frames[-1][0]
    if [seq for seq, _ in outbox.frames] != list(range(first, last + 1)):
        raise Violation(f"{name}: its frames have a gap")
    if not first <= len(known) <= last + 1:
        raise Violation(
            f"{name}: has frames {first} to {last}, the journal those below {len(known)}"
        )
    for seq, message in outbox.frames:
        if seq < len(known):
            if hashlib.sha256(message).digest() != known[seq]:
                raise Violation(f"{name}: its frame {seq} is another than the journal's")
            continue
        frame = read_frame(message)
        if (frame.chain, frame.seq, frame.prev) != (outbox.chain, seq, prev):
            raise Violation(f"{name}: its frame {seq} does not follow the one before it")
        prev = hashlib.sha256(message).digest()
    return last + 1 - len(known)


def accepted(entry: Entry) -> list[int]:
    """Return the indices of the accepted readings of an entry that stands for a frame."""
    refused = {index for index, _ in verdicts(entry)}
    return [index for index in range(entry.any_frame.readings) if index not in refused]


def verdicts(entry: Entry) -> list[tuple[int, int]]:
    """Return (index, reason) of the readings that were not accepted."""
    outcome = entry.outcome
    if entry.kind == "refused":
        return _refused_verdicts(entry)
    if not isinstance(outcome, FrameOutcome) or outcome.readings != entry.frame.readings:
        raise Violation(f"entry {entry.seq}: its outcome is not that of its frame")
    indices = [index for index, _ in outcome.verdicts]
    if len(set(indices)) != len(indices) or not set(indices) <= set(range(outcome.readings)):
        raise Violation(f"entry {entry.seq}: expected one verdict a reading at most")
    if any(reason not in _REASONS for _, reason in outcome.verdicts):
        raise Violation(f"entry {entry.seq}: expected a verdict's reason")
    return outcome.verdicts


def _refused_verdicts(entry: Entry) -> list[tuple[int, int]]:
    frame, outcome = entry.refused_frame, entry.outcome
    if not isinstance(outcome, RefusedOutcome) or outcome.readings != frame.readings:
        raise Violation(f"entry {entry.seq}: its outcome is not that of its frame")
    if any(reason not in _REASONS or count < 1 for reason, count in frame.verdicts):
        raise Violation(f"entry {entry.seq}: expected a verdict's reason for each reading")
    reasons = [reason for reason, count in frame.verdicts for _ in range(count)]
    return list(enumerate(reasons))


def verdict_counts(evidence: Evidence) -> tuple[int, int, int]:
    """Return how many readings were accepted, rejected and quarantined, as the journal has them."""
    total = rejected = quarantined = 0
    for entry in evidence.entries:
        if entry.is_frame:
            reasons = [reason for _, reason in verdicts(entry)]
            total += entry.any_frame.readings
            quarantined += sum(reason >= _FIRST_QUARANTINE for reason in reasons)
            rejected += sum(reason < _FIRST_QUARANTINE for reason in reasons)
    return total - rejected - quarantined, rejected, quarantined


def _count(evidence: Evidence) -> int:
    return sum(map(len, evidence.frames.values()))
