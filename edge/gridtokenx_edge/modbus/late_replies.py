"""Which replies may still come too late, meter by meter. Pure: the time is an argument.

An RTU reply carries neither a number nor the registers' address. So a late one can stand where
another of its shape (function code and length) is expected. An answer whose shape differs from all
that are owed proves that none of them comes any more, because a meter answers in order. An
exception reply proves nothing for its function code, because all of them look the same.
"""

from __future__ import annotations

import msgspec

from gridtokenx_edge.meters.plan import Block

# No reply comes later than this. It also bounds for how long a meter that answers only some
# requests is not asked the others.
_LATEST_S = 30.0
_MOST_OWED = 8


class Owed(msgspec.Struct, frozen=True):
    """The requests of one meter whose replies may still come, and when the last one was sent."""

    blocks: tuple[Block, ...]
    asked_at_s: float


class LateReplies:
    """The late replies of one line, by address."""

    def __init__(self) -> None:
        self._owed: dict[int, list[tuple[float, Block]]] = {}

    def of(self, address: int, now_s: float) -> Owed | None:
        """Return what the meter at this address still owes, or None."""
        owed = self._young(address, now_s)
        return Owed(tuple(block for _, block in owed), owed[-1][0]) if owed else None

    def asked(self, address: int, block: Block, now_s: float) -> None:
        """Take note of a request; until it is answered, its reply is owed."""
        owed = [*self._young(address, now_s), (now_s, block)]
        self._owed[address] = owed[-_MOST_OWED:]

    def answered(self, address: int, *, is_refusal: bool) -> None:
        """Take note that the last request has its answer. Older ones may still be owed."""
        *older, (_, block) = self._owed.pop(address)
        if any(is_alike(block, other, is_refusal=is_refusal) for _, other in older):
            self._owed[address] = older

    def forgive(self, address: int) -> None:
        """Forget what this meter owes, because enough time has passed."""
        self._owed.pop(address, None)

    def _young(self, address: int, now_s: float) -> list[tuple[float, Block]]:
        owed = self._owed.get(address, [])
        return [(at_s, block) for at_s, block in owed if now_s - at_s < _LATEST_S]


def is_alike(block: Block, other: Block, *, is_refusal: bool) -> bool:
    """Return whether an answer to `block` could be one to `other`."""
    return block.fc == other.fc if is_refusal else block.shape == other.shape
