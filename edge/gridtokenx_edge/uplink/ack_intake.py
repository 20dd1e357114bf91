"""Takes what the backend answers: verifies it, compares heads, and moves the window.

An ack that names the head counts only if the frame there is this gateway's own. Somebody with a
copy of the key may have sent another frame of that number first; then nothing is deleted.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gridtokenx_edge.backoff import Backoff
from gridtokenx_edge.store.outbox import Outbox
from gridtokenx_edge.store.outbox_errors import OutboxRefusedError, OutboxUnavailableError
from gridtokenx_edge.uplink.ack_file import open_answer_by_any, read_acks, waiting_acks
from gridtokenx_edge.uplink.fault_report import FaultReport
from gridtokenx_edge.uplink.head_demand import AckUse, HeadDemand
from gridtokenx_edge.uplink.window import AckEffect, Window
from gridtokenx_wire import cose
from gridtokenx_wire.ack import Ack, decode_ack
from gridtokenx_wire.errors import WireError
from gridtokenx_wire.state_notice import StateNotice

# Acks are cumulative: of those that wait, the newest ones say all but some verdicts.
_MOST_WAITING = 256
# A backend that has forgotten what it acked is shown it again after such a wait.
_FIRST_SHOW_S = 5.0
_LONGEST_SHOW_S = 3600.0
_GREETING = {AckUse.ASK, AckUse.TAKE_AND_GREET}
_COVERING = {AckEffect.PROGRESS, AckEffect.REPEATED, AckEffect.WENT_BACK}


class UplinkCounts(msgspec.Struct, kw_only=True):
    """What happened since the start, for the log and the status page."""

    sent: int = 0
    acked: int = 0
    resent: int = 0
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)


class AckIntake:
    """The answers to one outbox. `take_message` is called at any time, the rest in turn."""

    def __init__(
        self,
        outbox: Outbox,
        outbox_path: Path,
        keys: Sequence[Ed25519PublicKey],
        window: Window,
        report: FaultReport,
    ) -> None:
        self._outbox = outbox
        self._file = waiting_acks(outbox_path)
        self._keys = keys
        self._window = window
        self._report = report
        self._demand = HeadDemand(random.random)
        self._waiting: deque[tuple[Ack, bytes]] = deque(maxlen=_MOST_WAITING)
        self._shows = Backoff(_FIRST_SHOW_S, _LONGEST_SHOW_S, random.random)
        self._show_at_s = 0.0
        self._is_first = True
        self.counts = UplinkCounts()
        self.covered = 0
        """Frames below it may be deleted."""
        self.acked_at_s: float | None = None
        """When the last valid ack came, in monotonic seconds."""

    def connected(self) -> None:
        """Note a new connection, which begins with a hello."""
        now_s = time.monotonic()
        if self._is_first and self._newest.head:
            self._demand.named_before()
        self._is_first = False
        self._demand.connected(now_s)
        self._shows.reset()
        self._show_at_s = now_s + self._shows.next_s()

    def take_message(self, payload: bytes) -> None:
        """Take an answer of the backend: a notice at once, an ack when `work` is called."""
        outbox, faults = self._outbox, self._report.faults
        try:
            ack = open_answer_by_any(payload, self._keys)
        except WireError as error:
            faults.warn("ack_ignored", reason=str(error))
            return
        if isinstance(ack, StateNotice):
            self._take_notice(ack)
        elif ack.device != outbox.device or ack.chain != outbox.chain:
            faults.warn("ack_ignored", reason="expected an ack for this device and chain")
        else:
            self._waiting.append((ack, payload))

    def _take_notice(self, notice: StateNotice) -> None:
        """Take what the backend says of this gateway. It lets go of no frame."""
        standing = self._report.standing
        if notice.device != self._outbox.device or not standing.take(notice):
            return
        if standing.trouble:
            self._window.hold(time.monotonic() + standing.wait_s)
        else:
            self._window.release()
        self._report.stands()

    async def work(self) -> bool:
        """Take the acks that came. Return whether the gateway is to say hello."""
        is_hello_due = False
        while self._waiting:
            ack, message = self._waiting.popleft()
            use = self._demand.use_of(ack, time.monotonic())
            is_hello_due |= use in _GREETING
            if use is AckUse.ASK:
                self._window.ask()
            elif use is not AckUse.IGNORE:
                await self._take(ack, message)
                is_hello_due |= self._is_to_show(ack)
        return is_hello_due

    def _is_to_show(self, ack: Ack) -> bool:
        """Return whether the backend is to be shown that it has acked more than it says now."""
        now_s = time.monotonic()
        if ack.next_seq >= self._newest.next_seq or now_s < self._show_at_s:
            return False
        self._show_at_s = now_s + self._shows.next_s()
        return True

    @property
    def _newest(self) -> Ack:
        """The ack that covers most of what was ever acked to this outbox."""
        message = self._outbox.newest_ack
        if not message:
            return Ack(device=b"", chain=b"", next_seq=0, verdicts=[])
        return decode_ack(cose.split(message)[2])

    async def take_file(self) -> None:
        """Take the acks of an ack file, which `outbox acked` has put beside the outbox.

        They cover frames that were in a file of this gateway, and need no head.
        """
        path, outbox = self._file, self._outbox
        if not path.exists():
            return
        try:
            acks = read_acks(path, self._keys, outbox.device, outbox.chain)
            path.unlink()
        except (WireError, OSError) as error:
            self._report.faults.warn("carried_acks_ignored", reason=str(error))
            return
        for ack in acks:
            await self._take(ack, b"")
        window = self._window
        unacked = window.head - window.base
        self._report.faults.info("carried_acks_taken", next_seq=acks[-1].next_seq, unacked=unacked)

    async def _take(self, ack: Ack, message: bytes) -> None:
        """Take an ack, unless the frame that it ends with is another one than the outbox has.

        Where an ack ends within a summary, the frame there is gone. Then it moves the window, and
        deletes nothing before the summary itself is acked.
        """
        is_own = not ack.head
        if ack.head:
            try:
                head = await self._outbox.head_before(ack.next_seq)
            except (OutboxUnavailableError, OutboxRefusedError) as fault:
                self._report.faults.error("outbox_unreadable", reason=str(fault))
                return  # the frames are sent again, and acked again
            if head and head != ack.head:
                self._report.forked(ack.next_seq - 1)
                return
            is_own = bool(head)
            if is_own:
                self._report.unforked(ack.next_seq)
        effect = self._apply(ack)
        if is_own and effect in _COVERING:
            self.covered = max(self.covered, ack.next_seq)
            if message and ack.next_seq >= self._newest.next_seq:
                self._outbox.note_ack(message)

    def _apply(self, ack: Ack) -> AckEffect:
        window = self._window
        self.acked_at_s = time.monotonic()
        before = window.base
        effect = window.acked(ack.next_seq, time.monotonic())
        self.counts.acked += max(0, window.base - before)
        if self._report.acked(ack, effect):
            window.release()
        self._report.verdicts(ack, self.counts.verdicts)
        return effect
