"""What a SunSpec unit says of itself: which meters and inverters it has, and who they are."""

from __future__ import annotations

import msgspec

from gridtokenx_edge.commissioning.scan.prober import Prober
from gridtokenx_edge.meters.plan import Block
from gridtokenx_edge.meters.sunspec.chain import Chain, instances, walk
from gridtokenx_edge.meters.sunspec.nameplate import (
    Nameplate,
    decode_nameplate,
    nameplate_block,
)
from gridtokenx_edge.meters.sunspec.profile import load_sunspec, sunspec_names


class SunSpecDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A meter or inverter of a unit.

    It is its profile, which one of its kind it is, and its id, or "" if it has no serial number.
    `profile` is "" for a unit that is neither.
    """

    nameplate: Nameplate
    profile: str = ""
    instance: int = 1
    id: str = ""


async def sunspec_devices(asker: Prober) -> list[SunSpecDevice]:
    """Return the devices, or nothing if the meter does not speak SunSpec. Raises LineDown."""
    chain = await _walk(asker)
    if chain is None:
        return []
    found = [
        SunSpecDevice(
            nameplate=nameplate,
            profile=name,
            instance=number,
            id=nameplate.meter_id(instance.suffix),
        )
        for name in sunspec_names()
        for number, instance in enumerate(instances(chain, load_sunspec(name).kind), start=1)
        if (nameplate := await _nameplate(asker, nameplate_block(instance.common)))
    ]
    if found or not chain.models:
        return found
    common = await _nameplate(asker, nameplate_block(chain.models[0]))
    return [SunSpecDevice(nameplate=common)] if common else []


async def _walk(asker: Prober) -> Chain | None:
    steps = walk()
    try:
        block = next(steps)
        while True:
            block = steps.send(await asker.ask(block))
    except StopIteration as end:
        chain: Chain | None = end.value
        return chain


async def _nameplate(asker: Prober, block: Block) -> Nameplate | None:
    words = await asker.ask(block)
    return decode_nameplate(words) if words else None
