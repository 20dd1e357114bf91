"""Receipts: what a batch of frames has settled, device by device."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from nacl.bindings import crypto_sign

from gridtokenx_backend.core.messages.outcomes import (
    FrameAccepted,
    FrameRefusal,
    FrameRefused,
    Result,
)
from gridtokenx_wire.ack import MAX_VERDICTS, Ack, encode_ack
from gridtokenx_wire.cose import assemble, to_be_signed
from gridtokenx_wire.verdict import Reason, Verdict

_ANSWERED = frozenset({FrameRefusal.DUPLICATE, FrameRefusal.GAP})
"""Refused frames that are answered with where the chain stands, so that the gateway follows."""


def acks_of(results: Iterable[Result]) -> list[Ack]:
    """The acks that these results call for, in order: one for each device, with its verdicts.

    Verdicts that no single ack may carry go into the next one, frame by frame.
    """
    full: list[Ack] = []
    acks: dict[bytes, Ack] = {}
    repeated: set[tuple[bytes, int]] = set()
    for result in results:
        match result:
            case FrameAccepted():
                said = [
                    Verdict(seq=result.seq, index=index, reason=Reason(why))
                    for index, why in result.verdicts
                ]
                _extend(
                    acks,
                    full,
                    Ack(
                        device=result.device,
                        chain=result.chain,
                        next_seq=result.seq + 1,
                        verdicts=said,
                    ),
                )
            case FrameRefused() if result.reason in _ANSWERED and result.chain:
                for seq, told in groupby(result.verdicts, key=itemgetter(0)):
                    if (result.device, seq) in repeated:
                        continue  # many duplicates come at once; one answer is enough
                    repeated.add((result.device, seq))
                    said = [
                        Verdict(seq=seq, index=index, reason=Reason(why)) for _, index, why in told
                    ]
                    _extend(
                        acks,
                        full,
                        Ack(
                            device=result.device,
                            chain=result.chain,
                            next_seq=seq + 1,
                            verdicts=said,
                        ),
                    )
                _extend(
                    acks,
                    full,
                    Ack(
                        device=result.device,
                        chain=result.chain,
                        next_seq=result.next_seq,
                        verdicts=[],
                    ),
                )
    return full + list(acks.values())


def _extend(acks: dict[bytes, Ack], full: list[Ack], ack: Ack) -> None:
    known = acks.get(ack.device)
    if known is None:
        acks[ack.device] = ack
    elif len(known.verdicts) + len(ack.verdicts) > MAX_VERDICTS:
        full.append(known)
        acks[ack.device] = ack
    else:
        next_seq = max(known.next_seq, ack.next_seq)
        verdicts = known.verdicts + ack.verdicts
        acks[ack.device] = Ack(
            device=ack.device, chain=ack.chain, next_seq=next_seq, verdicts=verdicts
        )


class AckSigner:
    """Seals acks with libsodium, at half the cost of `gridtokenx_wire.ack.seal_ack`."""

    def __init__(self, seed: bytes, public_key: bytes) -> None:
        self._secret = seed + public_key

    def seal(self, ack: Ack) -> bytes:
        payload = encode_ack(ack)
        signed = to_be_signed(payload)
        return assemble(payload, crypto_sign(signed, self._secret)[:64])
