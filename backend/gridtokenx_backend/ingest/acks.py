"""Acks, the receipts of a batch of frames: one for each device."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from nacl.bindings import crypto_sign

from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused, Result
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_wire.ack import MAX_VERDICTS, Ack, encode_ack
from gridtokenx_wire.cose import assemble, to_be_signed
from gridtokenx_wire.state_notice import StateNotice, encode_notice
from gridtokenx_wire.verdict import Reason, Verdict

_ANSWERED = frozenset({FrameRefusal.DUPLICATE, FrameRefusal.GAP})
"""Refused frames that are answered with the end of the chain, so that the gateway goes on there."""


def acks_of(results: Iterable[Result]) -> list[Ack]:
    """Return the acks that these results call for, in order: one for each device.

    Verdicts that do not fit into one ack go into another one, frame by frame.
    """
    acks = _Acks()
    for result in results:
        match result:
            case FrameAccepted():
                acks.accept(result)
            case FrameRefused() if result.reason in _ANSWERED and result.chain:
                acks.repeat(result)
    return acks.all()


class _Acks:
    """The acks of a batch of frames: those that are full, and the last one of each device."""

    def __init__(self) -> None:
        self._full: list[Ack] = []
        self._last: dict[bytes, Ack] = {}
        self._repeated: set[tuple[bytes, int]] = set()

    def all(self) -> list[Ack]:
        return self._full + list(self._last.values())

    def accept(self, frame: FrameAccepted) -> None:
        """Add the verdicts of a frame that is stored now."""
        verdicts = [
            Verdict(seq=frame.seq, index=index, reason=Reason(why)) for index, why in frame.verdicts
        ]
        self._add(frame.device, frame.chain, frame.seq + 1, verdicts)

    def repeat(self, frame: FrameRefused) -> None:
        """Add the verdicts that are known of earlier frames, and where the chain ends.

        Many duplicates come at once; the verdicts of a frame are repeated once.
        """
        for seq, known in groupby(frame.verdicts, key=itemgetter(0)):
            if (frame.device, seq) not in self._repeated:
                self._repeated.add((frame.device, seq))
                verdicts = [
                    Verdict(seq=seq, index=index, reason=Reason(why)) for _, index, why in known
                ]
                self._add(frame.device, frame.chain, seq + 1, verdicts)
        self._add(frame.device, frame.chain, frame.next_seq, [])

    def _add(self, device: bytes, chain: bytes, next_seq: int, verdicts: list[Verdict]) -> None:
        """Add to the device's last ack, or begin another one if the verdicts do not fit."""
        last = self._last.get(device)
        if last is not None and len(last.verdicts) + len(verdicts) > MAX_VERDICTS:
            self._full.append(last)
        elif last is not None:
            next_seq = max(last.next_seq, next_seq)
            verdicts = last.verdicts + verdicts
        ack = Ack(device=device, chain=chain, next_seq=next_seq, verdicts=verdicts)
        self._last[device] = ack


class AckSigner:
    """Signs acks and notices with libsodium, at half the cost of `seal_ack` of the wire."""

    def __init__(self, *, seed: bytes, public_key: bytes) -> None:
        self._secret = seed + public_key

    def seal(self, ack: Ack) -> bytes:
        """Return the signed ack."""
        return self._sign(encode_ack(ack))

    def seal_notice(self, notice: StateNotice) -> bytes:
        """Return the signed notice."""
        return self._sign(encode_notice(notice))

    def _sign(self, payload: bytes) -> bytes:
        signed = to_be_signed(payload)
        return assemble(payload, crypto_sign(signed, self._secret)[:64])
