"""What gateways show: acks of this backend for frames that its journal lacks.

A journal that was put back together with its head cannot show by itself that it is old. Gateways
keep the newest ack that they have, and send it along when they connect. If it was signed by this
backend's own key and covers more than the journal has, the journal has forgotten what was acked,
and with it perhaps orders and trades. Nothing is taken then, until the operator has put a newer
backup back or goes on without; the acks are kept in a file, so that a start is refused, too.

An ack names no time. So the operator's word holds for all gateways: it accepts every ack of a
device of which no frame was stored since. Such acks are kept in another file, because they stay
above the journal's numbers while the gateway sends again what it still has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_backend.core.model.registry import Device
from gridtokenx_backend.engine.degradation import DegradedPart
from gridtokenx_backend.engine.writer import Writer
from gridtokenx_wire import cose
from gridtokenx_wire.ack import Ack, decode_ack
from gridtokenx_wire.atomic_file import PRIVATE, replace_file
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.keys import device_text
from gridtokenx_wire.message_file import MAX_ACK_BYTES, read_messages

log = structlog.get_logger()


class AckFile:
    """Signed acks in a file, the furthest one of each device and chain."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it is there. Raises OSError, WireError."""
        self._path = path
        self._acks: dict[tuple[bytes, bytes], tuple[Ack, bytes]] = {}
        if path.exists():
            for message in read_messages(BytesIO(path.read_bytes()), MAX_ACK_BYTES):
                self._take(decode_ack(cose.split(message)[2]), message)

    def items(self) -> list[tuple[Ack, bytes]]:
        """Return each ack, with its signed form."""
        return list(self._acks.values())

    def covers(self, ack: Ack) -> bool:
        """Return whether an ack is in the file, or one that says more."""
        known = self._acks.get((ack.device, ack.chain))
        return known is not None and known[0].next_seq >= ack.next_seq

    def add(self, ack: Ack, message: bytes) -> None:
        """Keep an ack, durably. Raises OSError."""
        self._take(ack, message)
        replace_file(self._path, b"".join(signed for _, signed in self._acks.values()), PRIVATE)

    def _take(self, ack: Ack, message: bytes) -> None:
        if not self.covers(ack):
            self._acks[ack.device, ack.chain] = (ack, message)


class AckEvidence:
    """Judges the acks that gateways show, and stops the writer where one proves a loss.

    `loss_entry` is the journal's entry by which the operator last accepted a loss, 0 without one.
    """

    def __init__(
        self,
        writer: Writer,
        keys: Sequence[Ed25519PublicKey],
        *,
        lost: AckFile,
        accepted: AckFile,
        loss_entry: int,
        how_to_go_on: str,
    ) -> None:
        self.loss_entry = loss_entry
        self._writer = writer
        self._keys = keys
        self._lost = lost
        self._accepted = accepted
        self._how_to_go_on = how_to_go_on

    def take(self, device: Device, message: bytes) -> None:
        """Take the newest ack that a gateway has. What the journal has as well costs nothing."""
        ack = opened_beyond(device, message, self._keys)
        if ack is None or self._lost.covers(ack) or self._accepted.covers(ack):
            return
        is_accepted = self.loss_entry > 0 and device.last_entry <= self.loss_entry
        try:
            (self._accepted if is_accepted else self._lost).add(ack, message)
        except OSError as error:
            log.error("what a gateway has shown cannot be kept", error=str(error))
        if is_accepted:
            log.warning("a gateway has acks of what was lost", lost=describe(device, ack))
            return
        detail = f"{describe(device, ack)}; stop the server, and {self._how_to_go_on}"
        if not self._writer.degradation.stops(DegradedPart.HISTORY):
            self._writer.degradation.enter(DegradedPart.HISTORY, detail)
        log.error(
            "the journal lacks what was acked; nothing is taken, cleared or acked", lost=detail
        )


def opened_beyond(device: Device, message: bytes, keys: Sequence[Ed25519PublicKey]) -> Ack | None:
    """Return an ack of a device's frames that the journal lacks, if one of the keys signed it.

    The signature is looked at last. An ack of another chain says nothing: the operator has approved
    the chain that the device has now.
    """
    try:
        ack = decode_ack(cose.split(message)[2])
    except WireError:
        return None
    is_same_chain = ack.chain == device.chain or not (device.chain or device.next_seq)
    if ack.device != device.id or not is_same_chain or ack.next_seq <= device.next_seq:
        return None
    return ack if any(_is_signed(message, key) for key in keys) else None


def _is_signed(message: bytes, key: Ed25519PublicKey) -> bool:
    try:
        cose.verify(message, key)
    except WireError:
        return False
    return True


def proven_losses(
    lost: AckFile, devices: Mapping[bytes, Device], keys: Sequence[Ed25519PublicKey]
) -> list[str]:
    """Return what the kept acks prove to be lost, each as a part of a sentence."""
    found = []
    for ack, message in lost.items():
        device = devices.get(ack.device)
        if device and opened_beyond(device, message, keys):
            found.append(describe(device, ack))
    return found


def describe(device: Device, ack: Ack) -> str:
    """Return which frames an ack covers and the journal lacks, as a part of a sentence."""
    count = ack.next_seq - device.next_seq
    frames = "1 frame" if count == 1 else f"{count} frames"
    newest = "has none of it"
    if device.next_seq:
        newest = f"ends with number {device.next_seq - 1}"
        if device.newest_ms:
            at = datetime.fromtimestamp(device.newest_ms / 1000, UTC)
            newest += f" of {at:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{frames} of gateway {device_text(device.id)} were acked up to number {ack.next_seq - 1}, "
        f"and the journal {newest}: what was stored since is lost, orders and trades too"
    )
