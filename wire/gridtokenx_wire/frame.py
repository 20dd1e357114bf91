"""A frame: signed readings of one gateway, in a gapless chain.

Its payload is deterministic CBOR, a map with these keys:

     1  type, 1                       8  meters: their ids, text
     2  version, 1                    9  meter of each reading: index into 8, uint16
     3  device id, 16 bytes          10  time_ms, sint64
     4  chain id, 8 bytes            11  import_uwh, sint64
     5  seq, from 0, gapless         12  export_uwh, sint64
     6  prev: SHA-256 of the frame   13  power_w, sint32
        before it (32 zero bytes     14  flags, uint8 (ReadingFlag)
        for the first)
     7  clock: [synchronised, stepped, source]

Keys 9 to 14 are columns, little-endian typed arrays (RFC 8746) of one length, 1 to 1000.

A summary stands in the chain for several frames of which readings were left out, as the gateway
had no room for them. It is of type 3, its seq is that of the last frame it stands for, its prev
that of the first, and it has besides:

    15  first_seq: of the first         17  meter of each gap: index into 8, uint16, ascending
        frame it stands for             18  readings left out, uint32
    16  head: SHA-256 of the last       19  time_ms of the first of them, sint64
        frame it stands for             20  time_ms of the last of them, sint64

Keys 17 to 20 are columns of one length, 0 to 1000. As `head` is the prev of the frame after it,
nothing else of the chain needs to be signed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gridtokenx_wire import cbor, cose, frame_layout
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import DEVICE_ID_BYTES
from gridtokenx_wire.reading import Reading

MAX_READINGS_PER_FRAME = 1000
MAX_FRAME_BYTES = 65_536
CHAIN_ID_BYTES = 8
HASH_BYTES = 32
GENESIS_PREV = bytes(HASH_BYTES)
MAX_METER_ID = 64
MAX_CLOCK_SOURCE = 32
_TYPE = 1
_SUMMARY_TYPE = 3
_VERSION = 1


class ClockStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the gateway knew of its own clock when it sealed the frame.

    `source` says who sets it, such as `ntp`, `rtc`, `scaled`, `none`.
    """

    synchronised: bool
    stepped: bool
    source: str


class Gap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a summary stands for: frames `first_seq` to its own seq, of which `head` is the hash.

    The last four fields are columns: of the frame's meter `meter_index[i]`, `count[i]` readings
    taken from `first_ms[i]` to `last_ms[i]` were left out. Several others of theirs may be kept.
    """

    first_seq: int
    head: bytes
    meter_index: tuple[int, ...] = ()
    count: tuple[int, ...] = ()
    first_ms: tuple[int, ...] = ()
    last_ms: tuple[int, ...] = ()

    @property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        return (self.meter_index, self.count, self.first_ms, self.last_ms)


class Frame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frame's content. Fields from `meter_index` to `flags` are columns, a value a reading.

    `gap` makes it a summary.
    """

    device: bytes
    chain: bytes
    seq: int
    prev: bytes
    clock: ClockStatus
    meters: list[str]
    meter_index: tuple[int, ...]
    time_ms: tuple[int, ...]
    import_uwh: tuple[int, ...]
    export_uwh: tuple[int, ...]
    power_w: tuple[int, ...]
    flags: tuple[int, ...]
    gap: Gap | None = None

    @property
    def first_seq(self) -> int:
        """The first seq of the chain that it stands for: its own, unless it is a summary."""
        return self.gap.first_seq if self.gap else self.seq

    @property
    def left_out(self) -> int:
        """How many readings it says are missing."""
        return sum(self.gap.count) if self.gap else 0

    def readings(self) -> list[Reading]:
        """Return the frame as one value for each reading. The columns are faster to work with."""
        return [
            Reading(
                meter=self.meters[meter],
                time_ms=time_ms,
                import_uwh=import_uwh,
                export_uwh=export_uwh,
                power_w=power_w,
                flags=flags,
            )
            for meter, time_ms, import_uwh, export_uwh, power_w, flags in zip(
                self.meter_index,
                self.time_ms,
                self.import_uwh,
                self.export_uwh,
                self.power_w,
                self.flags,
                strict=True,
            )
        ]


def build_frame(
    device: bytes,
    chain: bytes,
    seq: int,
    prev: bytes,
    clock: ClockStatus,
    readings: Sequence[Reading],
    gap: Gap | None = None,
) -> Frame:
    """Return a frame of these readings, in columns. Raises WireError unless there are 1 to 1000 of
    them.

    Meters are in the order of their first reading; the indices of `gap` refer to it.
    """
    if not 1 <= len(readings) <= MAX_READINGS_PER_FRAME:
        raise WireError("expected 1 to 1000 readings")
    meters = list(dict.fromkeys(reading.meter for reading in readings))
    index = {meter: position for position, meter in enumerate(meters)}
    return Frame(
        device=device,
        chain=chain,
        seq=seq,
        prev=prev,
        clock=clock,
        meters=meters,
        meter_index=tuple(index[reading.meter] for reading in readings),
        time_ms=tuple(reading.time_ms for reading in readings),
        import_uwh=tuple(reading.import_uwh for reading in readings),
        export_uwh=tuple(reading.export_uwh for reading in readings),
        power_w=tuple(reading.power_w for reading in readings),
        flags=tuple(reading.flags for reading in readings),
        gap=gap,
    )


def encode_frame(frame: Frame) -> bytes:
    """Return the payload to be signed. Raises WireError for what a reader would refuse.

    Such a frame, once sealed and stored, would hold up the chain behind it for ever.
    """
    _check_columns(frame)
    _check(frame)
    fields = {
        1: _SUMMARY_TYPE if frame.gap else _TYPE,
        2: _VERSION,
        3: frame.device,
        4: frame.chain,
        5: frame.seq,
        6: frame.prev,
        7: [frame.clock.synchronised, frame.clock.stepped, frame.clock.source],
        8: frame.meters,
        9: cbor.typed_array(cbor.UINT16, frame.meter_index),
        10: cbor.typed_array(cbor.SINT64, frame.time_ms),
        11: cbor.typed_array(cbor.SINT64, frame.import_uwh),
        12: cbor.typed_array(cbor.SINT64, frame.export_uwh),
        13: cbor.typed_array(cbor.SINT32, frame.power_w),
        14: cbor.typed_array(cbor.UINT8, frame.flags),
    }
    if frame.gap:
        fields |= {
            15: frame.gap.first_seq,
            16: frame.gap.head,
            17: cbor.typed_array(cbor.UINT16, frame.gap.meter_index),
            18: cbor.typed_array(cbor.UINT32, frame.gap.count),
            19: cbor.typed_array(cbor.SINT64, frame.gap.first_ms),
            20: cbor.typed_array(cbor.SINT64, frame.gap.last_ms),
        }
    return cbor.encode(fields)


def decode_frame(payload: bytes) -> Frame:
    """Return the content of a payload whose signature has been verified. Raises WireError."""
    device, chain, seq, prev, synchronised, stepped, source, meters, columns, left_out = (
        frame_layout.read(payload, MAX_READINGS_PER_FRAME, 4 * MAX_CLOCK_SOURCE, MAX_METER_ID)
    )
    clock = ClockStatus(synchronised=synchronised, stepped=stepped, source=source)
    meter_index, time_ms, import_uwh, export_uwh, power_w, flags = columns
    frame = Frame(
        device=device,
        chain=chain,
        seq=seq,
        prev=prev,
        clock=clock,
        meters=meters,
        meter_index=meter_index,
        time_ms=time_ms,
        import_uwh=import_uwh,
        export_uwh=export_uwh,
        power_w=power_w,
        flags=flags,
        gap=_gap(left_out) if left_out else None,
    )
    _check(frame)
    return frame


def _gap(fields: frame_layout.GapFields) -> Gap:
    first_seq, head, (meter_index, count, first_ms, last_ms) = fields
    return Gap(
        first_seq=first_seq,
        head=head,
        meter_index=meter_index,
        count=count,
        first_ms=first_ms,
        last_ms=last_ms,
    )


def _check(frame: Frame) -> None:
    """Check what the contract says of a frame whose columns are of one length. Raises WireError."""
    _check_bytes(frame.device, DEVICE_ID_BYTES)
    _check_bytes(frame.chain, CHAIN_ID_BYTES)
    _check_bytes(frame.prev, HASH_BYTES)
    if type(frame.seq) is not int or not 0 <= frame.seq < 2**63:
        raise WireError("expected a seq from 0 on")
    if len(frame.clock.source) > MAX_CLOCK_SOURCE:
        raise WireError("expected a clock source of at most 32 characters")
    _check_meters(frame.meters)
    if max(frame.meter_index) >= len(frame.meters):
        raise WireError("expected every reading to name a meter of the frame")
    if min(frame.time_ms) < 0 or min(frame.import_uwh) < 0 or min(frame.export_uwh) < 0:
        raise WireError("expected times and registers from 0 on")
    if frame.gap:
        _check_gap(frame.gap, frame.seq, len(frame.meters))


def _check_gap(gap: Gap, seq: int, meters: int) -> None:
    """Check what the contract says of a gap, whose columns may still be of different lengths."""
    _check_bytes(gap.head, HASH_BYTES)
    if type(gap.first_seq) is not int or not 0 <= gap.first_seq <= seq:
        raise WireError("expected a first seq from 0 to that of the summary")
    if any(after <= before for before, after in pairwise(gap.meter_index)):
        raise WireError("expected the gaps' meters in ascending order")
    if gap.meter_index and not 0 <= gap.meter_index[0] <= gap.meter_index[-1] < meters:
        raise WireError("expected every gap to name a meter of the frame")
    if any(count < 1 for count in gap.count):
        raise WireError("expected gaps of at least one reading")
    spans = zip(gap.first_ms, gap.last_ms, strict=False)
    if any(not 0 <= first <= last for first, last in spans):
        raise WireError("expected gaps to begin before they end")


def _check_columns(frame: Frame) -> None:
    columns = (frame.time_ms, frame.import_uwh, frame.export_uwh, frame.power_w, frame.flags)
    count = len(frame.meter_index)
    if not 1 <= count <= MAX_READINGS_PER_FRAME:
        raise WireError("expected 1 to 1000 readings")
    if any(len(column) != count for column in columns):
        raise WireError("expected columns of one length")
    if frame.gap:
        lengths = {len(column) for column in frame.gap.columns}
        if len(lengths) != 1 or lengths.pop() > MAX_READINGS_PER_FRAME:
            raise WireError("expected columns of one length, at most 1000")


def _check_bytes(value: object, size: int) -> None:
    if type(value) is not bytes or len(value) != size:
        raise WireError(f"expected {size} bytes")


def _check_meters(meters: object) -> None:
    if type(meters) is not list or not 1 <= len(meters) <= MAX_READINGS_PER_FRAME:
        raise WireError("expected 1 to 1000 meter ids")
    for meter in meters:
        if type(meter) is not str or not 1 <= len(meter) <= MAX_METER_ID:
            raise WireError("expected meter ids of 1 to 64 characters")
        if not (meter.isascii() and meter.isprintable()):
            raise WireError("expected meter ids of printable ASCII characters")


def seal_frame(frame: Frame, key: Ed25519PrivateKey) -> bytes:
    """Return the signed frame, as it is stored and sent. Raises WireError if it is over 64 KiB."""
    message = cose.sign(encode_frame(frame), key)
    if len(message) > MAX_FRAME_BYTES:
        raise WireError(f"expected at most {MAX_FRAME_BYTES} bytes, got {len(message)}")
    return message


def open_frame(message: bytes, key: Ed25519PublicKey) -> Frame:
    """Return the content of a frame signed by `key`. Raises WireError."""
    if len(message) > MAX_FRAME_BYTES:
        raise WireError(f"expected at most {MAX_FRAME_BYTES} bytes")
    return decode_frame(cose.verify(message, key))


def frame_hash(message: bytes) -> bytes:
    """Return SHA-256 of a whole signed frame: the `prev` of the frame after it."""
    return hashlib.sha256(message).digest()


def head_after(frame: Frame, message: bytes) -> bytes:
    """Return the `prev` of the frame behind `frame`, whose signed form is `message`."""
    return frame.gap.head if frame.gap else frame_hash(message)
