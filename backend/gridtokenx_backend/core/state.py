"""All that the core knows, as one value: a snapshot is its bytes, a digest is their hash."""

from __future__ import annotations

import hashlib

import msgspec

from gridtokenx_backend.core.book import RestingOrder
from gridtokenx_backend.core.ledger import LedgerState
from gridtokenx_backend.core.registry import Device, Member, Meter

VERSION = 1


class Remembered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An instruction that was carried out: a retry is told of the journal's `entry`."""

    digest: bytes
    entry: int
    arrived_ms: int


class Counters(msgspec.Struct, array_like=True, gc=False):
    """Totals since the community began. `refused` is by Reason."""

    frames: int = 0
    accepted: int = 0
    rejected: int = 0
    quarantined: int = 0
    refused: dict[int, int] = {}
    minted_uwh: int = 0
    orders: int = 0
    trades: int = 0

    @property
    def quality_permille(self) -> int:
        """Accepted readings of a thousand; 1000 before the first."""
        total = self.accepted + self.rejected + self.quarantined
        return 1000 * self.accepted // total if total else 1000


class State(msgspec.Struct, array_like=True, gc=False):
    """`entries` is the journal's number of the newest entry; `at_ms` is its time."""

    version: int
    entries: int
    at_ms: int
    terms: bytes
    paused: bool
    next_order: int
    counters: Counters
    ledger: LedgerState
    members: list[Member]
    devices: list[Device]
    meters: list[Meter]
    orders: list[RestingOrder]
    remembered: dict[str, Remembered]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode_state(state: State) -> bytes:
    """The snapshot: the same state always gives the same bytes."""
    return _encoder.encode(state)


def decode_state(snapshot: bytes) -> State:
    """The state of a snapshot, sharing equal values as the running core does."""
    state = _decoder.decode(snapshot)
    if state.version != VERSION:
        raise ValueError(f"expected a snapshot of version {VERSION}, got {state.version}")
    wallets = {member.wallet: member.wallet for member in state.members}
    devices = {device.id: device.id for device in state.devices}
    rules = {meter.rules: meter.rules for meter in state.meters}
    for meter in state.meters:
        meter.owner = wallets.get(meter.owner, meter.owner)
        meter.device = devices.get(meter.device, meter.device)
        meter.rules = rules[meter.rules]
    return state


def digest(snapshot: bytes) -> str:
    """SHA-256 of a snapshot, in hex."""
    return hashlib.sha256(snapshot).hexdigest()
