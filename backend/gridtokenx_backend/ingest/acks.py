"""Acks, the receipts of a batch of frames: one for each device."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import groupby, zip_longest
from operator import itemgetter

import msgspec
from nacl.bindings import crypto_sign

from gridtokenx_backend.core.messages.inputs import FrameInput
from gridtokenx_backend.core.messages.outcomes import FrameAccepted, FrameRefused, Result
from gridtokenx_backend.core.messages.refusals import FrameRefusal
from gridtokenx_wire.ack import MAX_VERDICTS, Ack, encode_ack
from gridtokenx_wire.cose import assemble, to_be_signed
from gridtokenx_wire.frame import head_after
from gridtokenx_wire.state_notice import StateNotice, encode_notice
from gridtokenx_wire.verdict import Reason, Verdict

_ANSWERED = frozenset({FrameRefusal.DUPLICATE, FrameRefusal.GAP})
"""Refused frames that are answered with the end of the chain, so that the gateway goes on there."""

_REASONS = {int(reason): reason for reason in Reason}


def acks_of(
    results: Iterable[Result],
    inputs: Iterable[FrameInput] = (),
    with_head: Container[bytes] = (),
) -> list[Ack]:
    """Return the acks that these results call for, in order: one for each device.

    `inputs` are those of the results, in their order. The devices `with_head` get acks that name
    the head. Where such a device sends again what was acked, it also gets an ack without: perhaps
    an older version of the gateway's program has been installed since. Verdicts that do not fit
    into one ack go into another one, frame by frame.
    """
    acks = _Acks(with_head)
    for result, input_ in zip_longest(results, inputs):
        match result:
            case FrameAccepted():
                acks.accept(result, input_)
            case FrameRefused() if result.reason in _ANSWERED and result.chain:
                acks.repeat(result)
    return acks.all()


class _OpenAck(msgspec.Struct, kw_only=True):
    """The last ack of a device in a batch, to which more may be added.

    `newest` is where its head comes from: the frame before `next_seq`, or that frame's head. It is
    None where no head is known.
    """

    device: bytes
    chain: bytes
    next_seq: int
    verdicts: list[Verdict]
    newest: FrameInput | bytes | None

    def close(self, *, with_head: bool) -> Ack:
        head = b""
        if with_head and self.newest is not None:
            newest = self.newest
            head = newest if isinstance(newest, bytes) else head_after(newest.frame, newest.raw)
        return Ack(
            device=self.device,
            chain=self.chain,
            next_seq=self.next_seq,
            verdicts=self.verdicts,
            head=head,
        )


class _Acks:
    """The acks of a batch of frames: those that are full, and the last one of each device."""

    def __init__(self, with_head: Container[bytes]) -> None:
        self._with_head = with_head
        self._full: list[Ack] = []
        self._last: dict[bytes, _OpenAck] = {}
        self._repeated: set[tuple[bytes, int]] = set()
        self._sent_again: set[bytes] = set()

    def all(self) -> list[Ack]:
        acks = self._full
        for device, last in self._last.items():
            with_head = device in self._with_head
            acks.append(last.close(with_head=with_head))
            if with_head and device in self._sent_again:
                acks.append(last.close(with_head=False))
        return acks

    def accept(self, frame: FrameAccepted, input_: FrameInput | None) -> None:
        """Add the verdicts of a frame that is stored now."""
        verdicts = [
            Verdict(seq=frame.seq, index=index, reason=_REASONS[why])
            for index, why in frame.verdicts
        ]
        self._add(frame, frame.seq + 1, verdicts, input_)

    def repeat(self, frame: FrameRefused) -> None:
        """Add the verdicts that are known of earlier frames, and where the chain ends.

        Many duplicates come at once; the verdicts of a frame are repeated once.
        """
        if frame.reason is FrameRefusal.DUPLICATE:
            self._sent_again.add(frame.device)
        for seq, known in groupby(frame.verdicts, key=itemgetter(0)):
            if (frame.device, seq) not in self._repeated:
                self._repeated.add((frame.device, seq))
                verdicts = [
                    Verdict(seq=seq, index=index, reason=_REASONS[why]) for _, index, why in known
                ]
                self._add(frame, seq + 1, verdicts, None)
        self._add(frame, frame.next_seq, [], frame.head or None)

    def _add(
        self,
        frame: FrameAccepted | FrameRefused,
        next_seq: int,
        verdicts: list[Verdict],
        newest: FrameInput | bytes | None,
    ) -> None:
        """Add to the device's last ack, or begin another one if the verdicts do not fit."""
        device = frame.device
        last = self._last.get(device)
        if last is not None and len(last.verdicts) + len(verdicts) > MAX_VERDICTS:
            self._full.append(last.close(with_head=device in self._with_head))
            last = None
        if last is None:
            self._last[device] = _OpenAck(
                device=device,
                chain=frame.chain,
                next_seq=next_seq,
                verdicts=verdicts,
                newest=newest,
            )
            return
        if next_seq >= last.next_seq:
            last.newest = newest if next_seq > last.next_seq else last.newest or newest
            last.next_seq = next_seq
        last.verdicts = last.verdicts + verdicts


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
