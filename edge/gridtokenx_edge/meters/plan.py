"""What to ask a meter: its points in few requests, and the replies as values. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from gridtokenx_edge.meters.point import Point
from gridtokenx_edge.meters.profile import ClockRegister, Identity, ModelRegister, Profile
from gridtokenx_edge.meters.site_reading import Quantities


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One read request: `count` registers from `address` with function code `fc`."""

    fc: int
    address: int
    count: int
    points: tuple[str, ...] = ()
    optional: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """What a reply shows of the request that it answers: its function code and its length."""
        return self.fc, self.count


def plan_blocks(
    profile: Profile,
    unsupported: Collection[str] = (),
    *,
    bridge: bool = True,
    points: Mapping[str, Point] | None = None,
) -> list[Block]:
    """Return the requests of one reading, energies first, or those for other `points` of the
    profile.

    Points that are neighbours share a request, within the model's limits; `bridge` allows it to
    read across unused registers. A point that a meter may refuse stands alone, so that its refusal
    takes nothing else with it. This is not needed where the meter marks a missing value by a raw
    value.
    """
    widest = profile.bridge_registers if bridge else 0
    blocks: list[Block] = []
    for name, point in (profile.points() if points is None else points).items():
        if name in unsupported:
            continue
        refusable = point.optional and not point.invalid_raw
        block = Block(
            fc=point.fc,
            address=point.address,
            count=point.count,
            points=(name,),
            optional=refusable,
        )
        joined = _join(blocks[-1], block, profile.max_registers, widest) if blocks else None
        if joined:
            blocks[-1] = joined
        else:
            blocks.append(block)
    return blocks


def _join(left: Block, right: Block, max_registers: int, widest: int) -> Block | None:
    first, second = sorted((left, right), key=lambda block: block.address)
    hole = second.address - (first.address + first.count)
    count = first.count + hole + second.count
    if left.fc != right.fc or left.optional or right.optional:
        return None
    if not 0 <= hole <= widest or count > max_registers:
        return None
    return Block(fc=left.fc, address=first.address, count=count, points=left.points + right.points)


def decode_points(
    profile: Profile, replies: Sequence[tuple[Block, Sequence[int]]]
) -> dict[str, int | None]:
    """Return the values of all points that were asked for."""
    values: dict[str, int | None] = {}
    points: Mapping[str, Point] = profile.all_points()
    for block, words in replies:
        for name in block.points:
            start = points[name].address - block.address
            values[name] = points[name].decode(words[start : start + points[name].count])
    return values


def quantities(values: Mapping[str, int | None]) -> Quantities:
    """Return the quantities of a reading among the values of points, as the meter counts them."""
    return Quantities(
        import_uwh=values.get("energy_import"),
        export_uwh=values.get("energy_export"),
        power_w=values.get("active_power"),
    )


def register_block(register: Identity | ModelRegister | ClockRegister) -> Block:
    """Return the request for an identity register or a clock."""
    return Block(fc=register.fc, address=register.address, count=register.count)


def resync_block(candidates: Sequence[Block], owed: Sequence[Block]) -> Block:
    """Return a request whose reply cannot be mistaken for a late reply to one of `owed`.

    RTU replies carry neither an address nor a number of their request, only a function code and a
    length. A meter answers in order, so the right reply to a request of another shape proves that
    nothing older is still under way. Another function code is best, because then not even the
    exception replies are alike.
    """
    shapes, codes = {block.shape for block in owed}, {block.fc for block in owed}
    for block in sorted(candidates, key=lambda block: block.fc in codes):
        if block.shape not in shapes:
            return block
    last = owed[-1]
    counts = (*range(last.count - 1, 0, -1), *range(last.count + 1, 126))
    others = (Block(fc=last.fc, address=last.address, count=count) for count in counts)
    return next(block for block in others if block.shape not in shapes)
