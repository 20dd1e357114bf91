"""Reads the registers that a meter may have, politely and within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.profile import Profile

# Even models with narrow limits answer so many in one request.
CHUNK = 8
# A meter without a manual keeps its values here mostly.
_LOWEST = range(0x0200)


def usual_places(profiles: Iterable[Profile]) -> dict[int, list[int]]:
    """Return the chunks in which known models keep something, and the lowest ones.

    They are the first addresses of chunks, by function code.
    """
    places: dict[int, set[int]] = {3: set(), 4: set()}
    for chunks in places.values():
        chunks.update(range(_LOWEST.start, _LOWEST.stop, CHUNK))
    for profile in profiles:
        spans = [(point.fc, point.address, point.count) for point in profile.all_points().values()]
        if of := profile.identity:
            spans.append((of.fc, of.address, of.count))
        for fc, address, count in spans:
            last = address + count - 1
            places[fc].update(range(address - address % CHUNK, last + 1, CHUNK))
    return {fc: sorted(chunks) for fc, chunks in places.items()}


def chosen_places(spans: Iterable[range]) -> dict[int, list[int]]:
    """Return the chunks of address ranges, for both function codes."""
    chunks = sorted({at - at % CHUNK for span in spans for at in span})
    return {3: chunks, 4: chunks}


async def survey(
    asker: Prober, places: dict[int, list[int]], tick: Callable[[], None]
) -> dict[tuple[int, int], int]:
    """Return every register that is answered for, by function code and address.

    Raises LineDown.
    """
    words: dict[tuple[int, int], int] = {}
    for fc, chunks in places.items():
        for start in chunks:
            words |= await _chunk(asker, fc, start)
            tick()
    return words


async def _chunk(asker: Prober, fc: int, start: int) -> dict[tuple[int, int], int]:
    """Read a chunk at once.

    If that is refused, read it in pairs, and what is left register by register.
    """
    if whole := await asker.registers(Block(fc=fc, address=start, count=CHUNK)):
        return _by_place(fc, start, whole)
    found: dict[tuple[int, int], int] = {}
    for at in range(start, start + CHUNK, 2):
        if pair := await asker.registers(Block(fc=fc, address=at, count=2)):
            found |= _by_place(fc, at, pair)
    missing = [at for at in range(start, start + CHUNK) if (fc, at) not in found]
    for at in missing if found else ():
        if single := await asker.registers(Block(fc=fc, address=at, count=1)):
            found |= _by_place(fc, at, single)
    return found


def _by_place(fc: int, start: int, words: list[int]) -> dict[tuple[int, int], int]:
    return {(fc, start + offset): word for offset, word in enumerate(words)}
