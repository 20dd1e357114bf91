"""What one meter answers, with each question asked once."""

from __future__ import annotations

import asyncio
import time

from gridtokenx_edge.commissioning.scan.source import Source
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.modbus.faults import MeterRefused
from gridtokenx_edge.polling.faults import MeterGarbled, MeterSilent

# A meter that stays silent where others refuse costs time-outs. After so many, guessing ends.
_MOST_SILENCES = 6
# A meter that says nothing but zero so often cannot be named.
_MOST_ZEROS = 30


class Prober:
    """Remembers a meter's replies by request, and its registers one by one.

    It counts, so that one can say what kind of meter this is.
    """

    def __init__(
        self, source: Source, most_silences: int = _MOST_SILENCES, most_zeros: int = _MOST_ZEROS
    ) -> None:
        self._source = source
        self._most_silences = most_silences
        self._most_zeros = most_zeros
        self._replies: dict[tuple[int, int, int], list[int] | None] = {}
        self._words: dict[tuple[int, int], int] = {}
        self._asked_at_s = float("-inf")
        self.refusals: dict[int, int] = {}
        self.asked = 0
        self.replies = 0
        self.silences = 0
        self._zeros = 0  # replies of zeros alone, from the first one on

    async def ask(self, block: Block, rest_s: float = 0.0) -> list[int] | None:
        """Return the reply to exactly this request.

        It is None if the meter refuses, stays silent, or is garbled twice. `rest_s` is what the
        model wants between two requests. Raises LineDown.
        """
        key = (block.fc, block.address, block.count)
        if key not in self._replies:
            self._replies[key] = await self._ask(block, rest_s)
        return self._replies[key]

    async def registers(self, block: Block, rest_s: float = 0.0) -> list[int] | None:
        """Return the block's registers, from earlier replies if they hold all of them."""
        places = [(block.fc, block.address + offset) for offset in range(block.count)]
        if all(place in self._words for place in places):
            return [self._words[place] for place in places]
        words = await self.ask(block, rest_s)
        if words is not None:
            self._words.update(zip(places, words, strict=True))
        return words

    @property
    def has_only_zeros(self) -> bool:
        """Whether it answered, and with nothing but zeros."""
        return 0 < self.replies == self._zeros

    async def _ask(self, block: Block, rest_s: float) -> list[int] | None:
        if self.silences >= self._most_silences or self._zeros >= self._most_zeros:
            return None
        wait_s = self._asked_at_s + rest_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self.asked += 1
        try:
            words = await self._source.read(block)
        except MeterRefused as refusal:
            self.refusals[refusal.code] = self.refusals.get(refusal.code, 0) + 1
            return None
        except (MeterSilent, MeterGarbled):
            self.silences += 1
            return None
        finally:
            self._asked_at_s = time.monotonic()
        self.replies += 1
        if self._zeros == self.replies - 1 and not any(words):
            self._zeros += 1
        return words
