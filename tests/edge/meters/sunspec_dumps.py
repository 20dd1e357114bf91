"""Registers of real devices, as published, and readers of such dumps. Hex, a word each.

`...` fills up with zeros to the register in brackets, so that only what matters is written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from gridtokenx_edge.meters.sunspec.chain import BASES, Chain, ModelAt, walk
from gridtokenx_edge.meters.sunspec.models import MODELS
from gridtokenx_edge.meters.sunspec.nameplate import Nameplate, decode_nameplate, nameplate_block
from gridtokenx_edge.meters.sunspec.plan import decode_model, plan_model

# SMA Sunny Boy 3.6 on an April night: nothing is measured, the energy stays.
# Source: nielsbasjes/sunspec-device, commit 6f6d4c7bec01266b613f128a0d569e6b192475eb,
# sunspec-device/src/test/kotlin/nl/basjes/sunspec/devices/DeviceSMASunnyBoy36_20250410.kt;
# the models before (11, 12) and behind the inverter's are left out.
SMA_AT_NIGHT = """
    5375 6E53
    0001 0042
    534D 4100 [40020] 5342 332E 362D 3141 562D 3431 [40044] 342E 3031 2E31 352E 5200
    [40052] 3330 3035 3036 3734 3135 [40068] FFFF 8000
    0065 0032
    FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF 8000 0001 FFFF FFFE 8000 0001
    8000 0001 8000 FFFD 002C FB4A 0001 FFFF 8000 FFFF 8000 8000 0001 8000 8000 8000 8000 0000
    FFFF FFFF 0000 0000 FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF
    FFFF 0000
"""

# SolarEdge SE3000H by day. Source: nielsbasjes/energy, commit
# 6872eba401f6c69d425edee27d1982e770b27230, modbus-parsers/src/test/java/nl/basjes/energy/sunspec/
# SunSpecSolarEdgeProcessImage.java. Behind it, where SolarEdge puts them (evcc-io/evcc issue
# 15445, trace of 2024-08-17), the common model and the registers of a meter SE-RGMTR-1D-240C-A,
# which has no serial number, and the same meter once more with one.
SOLAREDGE_METER = """
    00CB 0069
    0066 002F 0008 002E FFFF 5B98 5B98 5CD3 5A6C 0000 0000 0000 0000 FFFE 1387 FFFE
    FFA5 0408 FF85 FC18 0000 01DC 041C 0094 03F8 0000 FE2D FF31 FFAF FF4E 0000
    081C DB02 1950 2403 FFFE 0144 8402 015E 6052 0000 0000 0000 0000 0114 0820 0028 F5E8
    0053 B622 00B1 3865 0000
"""
SOLAREDGE = f"""
    5375 6E53
    0001 0041
    536F 6C61 7245 6467 6520 [40020] 5345 3330 3030 482D 5257 3030 3042 4E4E 34
    [40044] 3030 3034 2E30 3030 362E 3030 3234 [40052] 3733 3141 3242 3730 [40068] 0001
    0065 0032
    00DC 00DC FFFF FFFF FFFE 0967 FFFF FFFF FFFF FFFF FFFF FFFF 13E4 FFFF C356 FFFD
    14C1 FFFF 3B46 FFFE 256F FFFE 0000 450F 0000 34A5 FFFC 0EFC FFFF 1432 FFFF 8000 0EE6
    8000 8000 FFFE 0004 0000 FFFF FFFF FFFF FFFF 0000 0000 FFFF FFFF FFFF FFFF 0000 0000
    0001 0041
    536F 6C61 7245 6467 6500 [40139] 5345 2D52 474D 5452 2D31 442D 3234 3043 2D41
    [40155] 4578 706F 7274 2B49 6D70 6F72 7400 [40163] 3000 [40171] 3000 [40187] 0002
    {SOLAREDGE_METER}
    [40295] 0001 0041
    536F 6C61 7245 6467 6500 [40313] 5345 2D52 474D 5452 [40345] 4142 3132 [40361] 0003
    {SOLAREDGE_METER}
    [40469] FFFF 0000
"""

# Fronius Symo 8.2-3-M with float registers: the values of evcc-io/evcc issue 16924 (2024-10-28),
# as IEEE 754 puts them.
FRONIUS_FLOAT = """
    5375 6E53
    0001 0041
    4672 6F6E 6975 7300 [40020] 5379 6D6F 2038 2E32 2D33 2D4D [40036] 332E 3331 2E31 2D35
    [40044] 302E 332E 3330 2E31 [40052] 3331 3332 3935 3039 [40068] 0001
    0071 003C
    3F40 0000 3E80 0000 3E80 0000 3E80 0000 43C7 B333 43C7 6666 43C6 E666 4366 999A 4365 999A
    4366 6667 4331 0000 4248 0000 4331 0000 0000 0000 42C8 0000 4BC8 CE40 7FC0 0000 7FC0 0000
    4341 D70A 7FC0 0000 7FC0 0000 7FC0 0000 7FC0 0000 0004 0004 [40131] FFFF 0000
"""

# Kostal Plenticore plus 10: inverter and meter share a common model (evcc-io/evcc issue 15726,
# headers and common model of the trace of 2024-08-27; models between them left out). The export
# counter runs downwards (volkszaehler/mbmd, meters/sunspec/sunspec.go, FixKostal): -4711 Wh.
KOSTAL = """
    5375 6E53
    0001 0042
    4B4F 5354 414C [40020] 504C 454E 5449 434F 5245 2070 6C75 7331 30
    [40036] 2020 2020 2020 2020 2020 2020 2020 2020 3032 2E31 322E 3136 3231 39
    [40052] 3933 3535 3857 464A 3030 3037 33 [40068] 0047 5A5A
    0067 0032 [40084] 03AC 0000 [40094] 0000 04D2 0000
    [40122] 00CB 0069 [40140] 0064 [40144] 0000 [40160] FFFF ED99 [40168] 0000 1A85 [40176] 0000
    [40229] 0322 003E [40293] FFFF 0000
"""


def registers(dump: str, base: int = 40_000) -> dict[int, int]:
    """Words by register. `[n]` goes on at register n; what is skipped is zero."""
    words: dict[int, int] = {}
    place = base
    for token in re.findall(r"\[\d+\]|[0-9A-Fa-f]+", dump):
        if token.startswith("["):
            ahead = int(token[1:-1]) - 40_000 + base
            assert ahead >= place, (token, place)
            words.update(zip(range(place, ahead), repeat(0)))
            place = ahead
        else:
            words[place] = int(token.ljust(4, "0"), 16)
            place += 1
    return words


def read(words: Mapping[int, int], address: int, count: int) -> list[int] | None:
    """`count` registers, or None where one of them does not exist."""
    wanted = range(address, address + count)
    return [words[place] for place in wanted] if all(place in words for place in wanted) else None


def changed(words: Mapping[int, int], place: int, new: Sequence[int]) -> dict[int, int]:
    return dict(chain(words.items(), zip(range(place, place + len(new)), new, strict=True)))


_MOST_REQUESTS = 3 + 3 * 101
"""Three markers; for each model its header, and two other places where the next may be."""


def walked(words: Mapping[int, int], bases: Sequence[int] = BASES) -> Chain | None:
    steps = walk(bases)
    requests = 0
    try:
        block = next(steps)
        while True:
            requests += 1
            assert requests <= _MOST_REQUESTS
            assert 0 <= block.address <= block.address + block.count - 1 <= 0xFFFF
            block = steps.send(read(words, block.address, block.count))
    except StopIteration as end:
        found: Chain | None = end.value
        return found


def found(words: Mapping[int, int]) -> Chain:
    chain = walked(words)
    assert chain is not None
    return chain


def nameplate_of(words: Mapping[int, int], model: ModelAt) -> Nameplate:
    block = nameplate_block(model)
    reply = read(words, block.address, block.count)
    assert reply is not None
    return decode_nameplate(reply)


def values_of(
    words: Mapping[int, int], model: ModelAt, names: Sequence[str] = (), **more: bool
) -> dict[str, int | None]:
    plan = plan_model(model, 100, names or MODELS[model.id].points)
    replies = [read(words, block.address, block.count) or [] for block in plan.blocks]
    return decode_model(plan, replies, **more)
